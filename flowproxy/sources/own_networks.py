"""The networks and addresses of this machine or container."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TypeAlias

import psutil

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_last: list[Interface] = []


def own_networks() -> frozenset[Network]:
    """Return the networks that this machine or container has an address on."""
    return frozenset(interface.network for interface in own_interfaces())


def own_interfaces() -> list[Interface]:
    """Return the addresses of this machine or container, with their networks; those of the last time when the system
    does not say, for want of a file descriptor."""
    with contextlib.suppress(OSError):
        _last[:] = _read()
    return list(_last)


def _read() -> list[Interface]:
    interfaces = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            with contextlib.suppress(ValueError):  # a hardware address, or an IPv6 one with its zone
                interfaces.append(ipaddress.ip_interface(f"{address.address}/{address.netmask}"))
    return interfaces
