"""Services compiled into lookups.

The meaning is `match`: try every route, the most specific first, and take the first whose conditions hold.
`compile_routes` says the same with maps, which cost one look-up however many services there are, and with rules
only where a map cannot tell: a property test holds the two together.

A map's key is a host with a path, and HAProxy's `map_beg` finds the longest key that the request begins with.
There are three maps: of exact hosts, of wildcards (`.example.org`, looked up with the last labels of the
request's host), and of paths for any host. They are asked in that order, the wildcards once for each number of
labels that one of them has. A key that carries conditions has the value `?<key>`; its rules follow the look-up,
in order, and when none holds the next map is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from flowproxy.model import Destination, Service

EXACT, WILDCARD, ANY, DEFAULT = "exact", "wildcard", "any", "default"
CONDITIONAL = "?"


class Request(NamedTuple):
    """What of a request decides where it goes. The host is without its port, in lower case."""

    host: str
    path: str
    port: int = 80
    headers: Mapping[str, str] = {}


class Condition(NamedTuple):
    """What a map cannot tell. `kind` is one of header, agent, port, outside; templates/rules.cfg.j2 writes them."""

    kind: str
    name: str
    values: tuple[str, ...]

    def holds(self, request: Request) -> bool:
        if self.kind == "header":
            return request.headers.get(self.name) == self.values[0]
        if self.kind == "agent":
            agent = request.headers.get("user-agent", "").lower()
            return any(value.lower() in agent for value in self.values)
        if self.kind == "port":
            return str(request.port) in self.values
        return not request.path.startswith(self.values)

    def __str__(self) -> str:
        if self.kind == "header":
            return f"header {self.name}: {self.values[0]}"
        if self.kind == "agent":
            return "user agent with " + " or ".join(self.values)
        if self.kind == "port":
            return f"port {self.values[0]}"
        return "path outside " + ", ".join(self.values)


class Candidate(NamedTuple):
    """A service with what decides between equals: when it first appeared, in seconds since 1970."""

    service: Service
    created: float


class Route(NamedTuple):
    """One host with one path, and where its requests go."""

    host: str
    path: str
    conditions: tuple[Condition, ...]
    backend: str
    service: str
    is_default: bool
    seniority: tuple[bool, str, float, str, int]

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the most specific first (docs/architecture.md, "Which route wins")."""
        wildcard = self.host.startswith("*.")
        return (
            self.is_default,
            not self.host,
            wildcard,
            -len(self.host) if wildcard else 0,
            -len(self.path),
            -len(self.conditions),
            self.seniority,
        )

    def covers(self, request: Request) -> bool:
        """Whether the host and the path are its own, conditions apart."""
        return covers_host(self.host, request.host) and (self.is_default or request.path.startswith(self.path))

    def matches(self, request: Request) -> bool:
        return self.covers(request) and all(condition.holds(request) for condition in self.conditions)

    def __str__(self) -> str:
        where = "any request that matches nothing else" if self.is_default else f"{self.host or '*'}{self.path}"
        return " ".join([where, *(f"[{condition}]" for condition in self.conditions)])


class Backend(NamedTuple):
    """The HAProxy backend of one destination."""

    name: str
    service: Service
    destination: Destination


class Rule(NamedTuple):
    """In the stage of its map: when the look-up gave `value` and the conditions hold, the backend is found."""

    value: str
    conditions: tuple[Condition, ...]
    backend: str


class Conflict(NamedTuple):
    """Two services ask for exactly the same; the winner's requests are served."""

    route: str
    winner: str
    loser: str


class RouteTable(NamedTuple):
    """The routes of all services: map name -> key -> value, the rules after each map, the backends."""

    routes: tuple[Route, ...]
    backends: tuple[Backend, ...]
    maps: Mapping[str, Mapping[str, str]]
    rules: Mapping[str, tuple[Rule, ...]]
    wildcard_depths: tuple[int, ...]
    conflicts: tuple[Conflict, ...]


def match(routes: Iterable[Route], request: Request) -> Route | None:
    """What the product means: the most specific route that matches, or none."""
    return next((route for route in sorted(routes, key=lambda r: r.rank) if route.matches(request)), None)


def compile_routes(candidates: Iterable[Candidate]) -> RouteTable:
    """The table of all services; independent of their order."""
    backends, routes = _expand(sorted(candidates, key=_seniority))
    routes.sort(key=lambda route: route.rank)
    by_key: dict[tuple[str, str], list[Route]] = {}
    conflicts: dict[Conflict, None] = {}
    claimed: dict[tuple[object, ...], Route] = {}
    for route in routes:
        claim = (route.is_default, route.host, route.path, frozenset(route.conditions))
        winner = claimed.setdefault(claim, route)
        if winner is route:
            by_key.setdefault((_stage(route), _key(route)), []).append(route)
        else:
            conflicts[Conflict(str(route), winner.service, route.service)] = None

    maps: dict[str, dict[str, str]] = {EXACT: {}, WILDCARD: {}, ANY: {}, DEFAULT: {}}
    rules: dict[str, list[Rule]] = {EXACT: [], WILDCARD: [], ANY: [], DEFAULT: []}
    for (stage, key), here in by_key.items():
        if not here[0].conditions:
            maps[stage][key] = here[0].backend
            continue
        value = maps[stage][key] = CONDITIONAL + key
        chain = _until_unconditional([*here, *_shorter(by_key, stage, here[0])])
        rules[stage] += [Rule(value, route.conditions, route.backend) for route in chain]
    depths = {route.host.count(".") for route in routes if _stage(route) == WILDCARD}
    return RouteTable(
        routes=tuple(routes),
        backends=backends,
        maps=maps,
        rules={stage: tuple(listed) for stage, listed in rules.items()},
        wildcard_depths=tuple(sorted(depths, reverse=True)),
        conflicts=tuple(conflicts),
    )


def covers_host(pattern: str, host: str) -> bool:
    """Whether a domain, a wildcard or the empty pattern stands for this host."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return not pattern or pattern == host


def _seniority(candidate: Candidate) -> tuple[bool, str, float, str]:
    acl = candidate.service.acl_name
    return (acl is None, acl or "", candidate.created, candidate.service.service_name)


def _expand(candidates: Sequence[Candidate]) -> tuple[tuple[Backend, ...], list[Route]]:
    """Every destination's backend, and its routes: each of its hosts with each of its paths."""
    backends: dict[str, Backend] = {}
    routes = []
    for candidate in candidates:
        service = candidate.service
        for destination in service.destinations:
            name = f"{service.acl_name or service.service_name}-be{destination.port}_{destination.index}"
            if name in backends:  # two services share an aclName; no name of a service holds a colon
                name = f"{service.service_name}:be{destination.port}_{destination.index}"
            backends[name] = Backend(name, service, destination)
            wanted = [
                (host, path, _conditions(destination), False)
                for host in destination.service_domain or ("",)
                for path in destination.service_path
            ]
            if service.is_default_backend and destination is service.destinations[0]:
                wanted.append(("", "", (), True))
            routes += [
                Route(
                    host,
                    path,
                    conditions,
                    name,
                    service.service_name,
                    is_default,
                    (*_seniority(candidate), destination.index),
                )
                for host, path, conditions, is_default in wanted
            ]
    return tuple(sorted(backends.values())), routes


def _conditions(destination: Destination) -> tuple[Condition, ...]:
    conditions = [Condition("header", header.name, (header.value,)) for header in sorted(destination.service_header)]
    if destination.user_agent:
        conditions.append(Condition("agent", "", tuple(sorted(destination.user_agent))))
    if destination.src_port:
        conditions.append(Condition("port", "", (str(destination.src_port),)))
    if destination.service_path_exclude:
        conditions.append(Condition("outside", "", tuple(sorted(destination.service_path_exclude))))
    return tuple(conditions)


def _stage(route: Route) -> str:
    if route.is_default:
        return DEFAULT
    if not route.host:
        return ANY
    return WILDCARD if route.host.startswith("*.") else EXACT


def _key(route: Route) -> str:
    return DEFAULT if route.is_default else route.host.removeprefix("*") + route.path


def _shorter(by_key: Mapping[tuple[str, str], list[Route]], stage: str, route: Route) -> Iterable[Route]:
    """The routes of the same host whose path is a beginning of this one's: what the look-up would find next."""
    host = route.host.removeprefix("*")
    for end in range(len(route.path) - 1, 0, -1):
        yield from by_key.get((stage, host + route.path[:end]), ())


def _until_unconditional(routes: Iterable[Route]) -> list[Route]:
    chain: list[Route] = []
    for route in routes:
        chain.append(route)
        if not route.conditions:
            break
    return chain
