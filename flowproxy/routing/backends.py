"""The HAProxy backends of http destinations, and the names that they get."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.services.model import Destination, Service


class Backend(NamedTuple):
    """The HAProxy backend of one destination.

    `targets` are the host names, each with a port, whose addresses become its servers.
    """

    name: str
    service: Service
    destination: Destination
    port: int
    is_https_port: bool = False
    targets: tuple[tuple[str, int], ...] = ()


def backends_of(
    service: Service, destination: Destination, *, has_unique_names: bool
) -> Iterable[tuple[Backend, int | None]]:
    """Yield the backends of a destination, each with the port that its requests must have come in on.

    A destination with an httpsPort has two backends.
    """
    stem = service.acl_name or service.service_name
    host = destination.outbound_hostname or service.service_name
    for port, prefix, source_port in (
        (destination.port, "", destination.src_port or (80 if destination.https_port else None)),
        (destination.https_port, "https-", destination.src_https_port or 443),
    ):
        if port:
            name = f"{prefix}{stem}-be{port}_{destination.index}"
            if has_unique_names:
                name = unique_name("https" if prefix else "http", service.service_name, port, destination.index)
            yield Backend(name, service, destination, port, bool(prefix), ((host, port),)), source_port


def unique_name(kind: str, name: str, port: int | None, index: int | None = None) -> str:
    """Return a backend name that no other backend can have.

    The name has colons, which neither the names of services nor the kinds `http`, `https`, `tcp`, `sni` and `group`
    have, nor any other backend of a service.
    """
    return f"{kind}:{name}:{port}" if index is None else f"{kind}:{name}:{port}_{index}"
