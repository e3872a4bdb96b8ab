"""Checks that HAProxy can listen on a port."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from flowproxy.errors import ProxyUnavailable, Rejected


def require_ports_of_services(ports: Iterable[int]) -> None:
    """Check the ports that services request. Raises Rejected for one that is unavailable."""
    for port in ports:
        if trouble := _trouble_with(port):
            raise Rejected(f"srcPort {port} cannot be used: {trouble}")


def require_traffic_ports(ports: Iterable[int]) -> None:
    """Check the ports for traffic. Raises ProxyUnavailable for one that is unavailable, more clearly than HAProxy."""
    for port in ports:
        if trouble := _trouble_with(port):
            raise ProxyUnavailable(f"port {port} of DEFAULT_PORTS cannot be used: {trouble}")


def _trouble_with(port: int) -> str | None:
    """Return why the port is unavailable, or None. A HAProxy of the same user does not block it."""
    with socket.socket() as probe:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind(("", port))
        except PermissionError:
            return "no permission; start as root, or choose ports above 1023"
        except OSError as error:
            return error.strerror
    return None
