"""The definition of which route gets a request: `match` tries the routes, the most specific first, and takes the first
that matches.

`routing/compile.py` says the same with maps and rules; property tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from flowproxy.routing.conditions import Condition, Request

# The maps, in the order in which HAProxy asks them.
EXACT, WILDCARD, PATTERN, ANY, DEFAULT = STAGES = ("exact", "wildcard", "pattern", "any", "default")

Seniority: TypeAlias = tuple[bool, str, float, str, int]


class Route(NamedTuple):
    """One host with one path, and the backend that gets its requests.

    A diverted route leads requests away that, by the normal form of their path, are for a better protected
    destination.
    """

    host: str
    path: str
    conditions: tuple[Condition, ...]
    backend: str
    service: str
    is_default: bool
    seniority: Seniority
    is_diverted: bool = False

    @property
    def stage(self) -> str:
        """The map that leads to the route."""
        if self.is_default:
            return DEFAULT
        if self.host:
            return WILDCARD if is_wildcard(self.host) else EXACT
        return PATTERN if any(condition.kind == "host" for condition in self.conditions) else ANY

    @property
    def rank(self) -> tuple[object, ...]:
        """The sort key that puts the most specific route first (docs/guide/routes.md, "Which route wins")."""
        return (
            STAGES.index(self.stage),
            -len(self.host) if self.stage == WILDCARD else 0,
            -len(self.path),
            -sum(condition.decides for condition in self.conditions),
            self.seniority,
            not self.is_diverted,
        )

    @property
    def group(self) -> tuple[str, str]:
        """The stage and host. Conditional routes of one group are tried together."""
        return self.stage, host_in_key(self.host)

    @property
    def key(self) -> str:
        """The key that leads to the route, in the map of its stage."""
        return DEFAULT if self.is_default else host_in_key(self.host) + self.path

    @property
    def has_patterns(self) -> bool:
        """Whether some condition has regular expressions."""
        return any(condition.has_patterns for condition in self.conditions)

    def covers(self, request: Request) -> bool:
        """Return whether the host and the path match, whatever the conditions say."""
        return covers_host(self.host, request.host) and (self.is_default or request.path.startswith(self.path))

    def matches(self, request: Request) -> bool:
        """Return whether the host, the path and all conditions match."""
        return self.covers(request) and all(condition.holds(request) for condition in self.conditions)

    def __str__(self) -> str:
        where = "any request that matches nothing else" if self.is_default else f"{self.host or '*'}{self.path}"
        return " ".join([where, *(f"[{condition}]" for condition in self.conditions)])


def match(routes: Iterable[Route], request: Request) -> Route | None:
    """Return the most specific route that matches a request, or None."""
    return next((route for route in sorted(routes, key=lambda route: route.rank) if route.matches(request)), None)


def is_wildcard(host: str) -> bool:
    """Return whether a host stands for all names below it."""
    return host.startswith("*.")


def host_in_key(host: str) -> str:
    """Return the host as it begins the keys of a map: `.example.org` for `*.example.org`."""
    return host[1:] if is_wildcard(host) else host


def covers_host(pattern: str, host: str) -> bool:
    """Return whether a domain, a wildcard or the empty pattern (any host) stands for this host."""
    if is_wildcard(pattern):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return not pattern or pattern == host
