"""Addresses of the proxy itself: a request that a service sent there would come back without end."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class OwnAddresses:
    """Those of this machine or container; loopback addresses are always among them."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._addresses = frozenset(addresses)

    def __contains__(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return ip.is_loopback or ip.is_unspecified or str(ip) in self._addresses
