"""The routes of all services as lookups: pure data that rendering writes for HAProxy.

A key of a map is a host with a path, and HAProxy's `map_beg` finds the longest key that the request begins with. There
are maps of exact hosts, of wildcards (`.example.org`, looked up with the last labels of the request's host), of hosts
that are compared otherwise, and of paths for any host. HAProxy asks them in that order, the wildcards once for each
number of labels that one of them has. A key with conditional routes has the value `?<host>`: the rules of that host
are tried in order, and when none holds the next map is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from flowproxy.routing.backends import Backend
from flowproxy.routing.conditions import Condition, compares
from flowproxy.routing.meaning import PATTERN, Route
from flowproxy.services.model import Candidate, Service

CONDITIONAL = "?"
# The winner of a conflict when it is not another service.
FOLDER, NO_SERVICE = "the folder of certificates", "no service"


class Rule(NamedTuple):
    """Sends a request to the backend when the lookup in the map of its stage gave `value` and the conditions hold."""

    value: str
    conditions: tuple[Condition, ...]
    backend: str
    service: str


class Conflict(NamedTuple):
    """Two services ask for exactly the same; the winner gets the requests."""

    route: str
    winner: str
    loser: str


class Part(NamedTuple):
    """What one service adds to the table, with warnings about it.

    Each route stands with its place: its stage and its key in the map of that stage. `steps` is the cost of the
    service's patterns for one request, by stage and host.
    """

    candidate: Candidate
    backends: tuple[Backend, ...]
    routes: tuple[tuple[tuple[str, str], Route], ...]
    steps: Mapping[tuple[str, str], int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RouteTable:
    """The routes of all services.

    Attributes:
        parts: the part of each service, by name.
        maps: key -> value for each stage; a value is a backend or, with conditions, `?<host>`.
        rules: the rules after each map.
        wildcard_depths: the numbers of labels that wildcards have, the largest first.
        conflicts: claims that lost.
        warnings: warnings about the ports of services, by name.
        places: the routes by stage and key, the most specific first, without those that lost a conflict.
        templated: services with templates of their own, whose routes are not known.
    """

    parts: Mapping[str, Part]
    maps: Mapping[str, Mapping[str, str]]
    rules: Mapping[str, tuple[Rule, ...]]
    wildcard_depths: tuple[int, ...]
    conflicts: tuple[Conflict, ...]
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[tuple[str, str], Sequence[Route]] = field(default_factory=dict, repr=False)
    templated: tuple[Service, ...] = ()

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """All routes, the most specific first."""
        routes = (route for part in self.parts.values() for _, route in part.routes)
        return tuple(sorted(routes, key=lambda route: route.rank))

    @cached_property
    def backends(self) -> tuple[Backend, ...]:
        """All backends by name."""
        backends = (backend for part in self.parts.values() for backend in part.backends)
        return tuple(sorted(backends, key=lambda backend: backend.name))

    def warnings_of(self, name: str) -> tuple[str, ...]:
        """Return the warnings about a service as it is compiled."""
        part = self.parts.get(name)
        return (*(part.warnings if part else ()), *self.warnings.get(name, ()))

    def holders(self, host: str) -> list[Candidate]:
        """Return the services with a route of this very host, of a wildcard above it, or of a pattern that matches it.

        Regular expressions are not tried, and routes for any host do not count.
        """
        labels = host.split(".")
        names = [host, *(f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))]
        found = {name for pattern in names for name in self._services_by_host.get(pattern, ())}
        for route in self._pattern_routes:
            tested = [c for c in route.conditions if c.kind == "host" and not c.how.startswith("reg")]
            if tested and all(compares(c.how, host, c.values) for c in tested):
                found.add(route.service)
        return [self.parts[name].candidate for name in found]

    @cached_property
    def _services_by_host(self) -> Mapping[str, Set[str]]:
        """The names of the services with a route of each host, as written."""
        services: dict[str, set[str]] = {}
        for name, part in self.parts.items():
            for _, route in part.routes:
                if route.host:
                    services.setdefault(route.host, set()).add(name)
        return services

    @cached_property
    def _pattern_routes(self) -> tuple[Route, ...]:
        return tuple(route for part in self.parts.values() for (stage, _), route in part.routes if stage == PATTERN)
