"""The servers of a backend: one for each endpoint of what it sends requests to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from flowproxy.routing.backends import Backend
from flowproxy.services.model import Endpoint, is_address

Endpoints: TypeAlias = Mapping[str, tuple[Endpoint, ...]]  # of each host name that a destination sends to


class Server(NamedTuple):
    """One server line, or one `add server`."""

    name: str
    address: str
    port: int

    @property
    def socket_address(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Placed(NamedTuple):
    """The servers of a backend, and the endpoints that they were made of."""

    backend: Backend
    found: list[tuple[Endpoint, ...]]
    servers: tuple[Server, ...]


def place(backends: Iterable[Backend], endpoints: Endpoints, known: Mapping[str, Placed]) -> dict[str, Placed]:
    """Return the servers of each backend, by its name; those that are `known` and the same are the same objects."""
    placed = {}
    for backend in backends:
        found = [endpoints.get(host, ()) for host, _ in backend.targets]
        before = known.get(backend.name)
        if before and before.backend is backend and before.found == found:
            placed[backend.name] = before
        else:
            # Two members of a group may have the same address and port.
            servers = tuple(dict.fromkeys(_servers(backend, endpoints)))
            placed[backend.name] = Placed(backend, found, servers)
    return placed


def _servers(backend: Backend, endpoints: Endpoints) -> Iterable[Server]:
    alone = len(backend.targets) == 1  # else two services of a group may have one address
    for host, port in backend.targets:
        for endpoint in sorted((Endpoint.of_address(host),) if is_address(host) else endpoints.get(host, ())):
            yield Server(endpoint.name if alone else f"{endpoint.name}-{port}", endpoint.address, port)
