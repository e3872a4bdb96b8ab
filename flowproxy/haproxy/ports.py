"""Whether HAProxy can listen on a port."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from flowproxy.errors import ProxyUnavailable, Rejected


def require_ports_of_services(ports: Iterable[int]) -> None:
    """Raises Rejected for a port that cannot be had."""
    for port in ports:
        if trouble := _trouble_with(port):
            raise Rejected(f"srcPort {port} cannot be used: {trouble}")


def require_traffic_ports(ports: Iterable[int]) -> None:
    """Raises ProxyUnavailable for a port that cannot be had. HAProxy says it too, but in more words."""
    for port in ports:
        if trouble := _trouble_with(port):
            raise ProxyUnavailable(f"port {port} of DEFAULT_PORTS cannot be used: {trouble}")


def _trouble_with(port: int) -> str | None:
    """Why nobody could listen on it now; a HAProxy of ours that does is none."""
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
