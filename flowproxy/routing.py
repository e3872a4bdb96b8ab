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

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from flowproxy.model import Destination, Service
from flowproxy.secrecy import header_value

EXACT, WILDCARD, PATTERN, ANY, DEFAULT = STAGES = ("exact", "wildcard", "pattern", "any", "default")
CONDITIONAL = "?"


class Request(NamedTuple):
    """What of a request decides where it goes. The host is without its port, in lower case."""

    host: str
    path: str
    port: int = 80
    headers: Mapping[str, str] = {}


class Condition(NamedTuple):
    """What a map cannot tell; templates/rules.cfg.j2 writes it.

    `kind` is one of header, agent, port, path, outside (a path that must not match), host. `how` is the header's name,
    or HAProxy's matching method with its flags, such as `beg` or `reg -i`.
    """

    kind: str
    how: str
    values: tuple[str, ...]

    def holds(self, request: Request) -> bool:
        match self.kind:
            case "header":
                return request.headers.get(self.how) == self.values[0]
            case "agent":
                return compares("sub -i", request.headers.get("user-agent", ""), self.values)
            case "port":
                return str(request.port) in self.values
            case "host":
                return compares(self.how, request.host, self.values)
            case "outside":
                return not compares(self.how, request.path, self.values)
            case _:
                return compares(self.how, request.path, self.values)

    def __str__(self) -> str:
        values = " or ".join(self.values)
        named = {
            "header": f"header {self.how}: {header_value(self.how, values)}",
            "agent": f"user agent with {values}",
            "port": f"port {values}",
        }
        return named.get(self.kind) or f"{'path not' if self.kind == 'outside' else self.kind} {self.how} {values}"


_DELIMITERS = {"dir": "/?", "dom": "/?.:"}


def compares(how: str, text: str, values: Iterable[str]) -> bool:
    """HAProxy's matching methods str, beg, end, sub, reg, dir, dom, each with -i or without (configuration manual,
    7.1.3)."""
    method, _, flag = how.partition(" ")
    if method == "reg":
        return any(re.search(value, text, re.IGNORECASE if flag else 0) for value in values)
    if flag:
        text, values = text.lower(), [value.lower() for value in values]
    match method:
        case "str":
            return text in values
        case "beg":
            return text.startswith(tuple(values))
        case "end":
            return text.endswith(tuple(values))
        case "sub":
            return any(value in text for value in values)
    edge = f"[{re.escape(_DELIMITERS[method])}]"
    stripped = (re.escape(value.strip(_DELIMITERS[method])) for value in values)
    return any(re.search(f"(?:^|{edge}){value}(?:{edge}|$)", text) for value in stripped)


Seniority: TypeAlias = tuple[bool, str, float, str, int]


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
    seniority: Seniority

    @property
    def stage(self) -> str:
        """The map that leads to it."""
        if self.is_default:
            return DEFAULT
        if self.host:
            return WILDCARD if self.host.startswith("*.") else EXACT
        return PATTERN if any(condition.kind == "host" for condition in self.conditions) else ANY

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the most specific first (docs/guide/routes.md, "Which route wins")."""
        return (
            STAGES.index(self.stage),
            -len(self.host) if self.stage == WILDCARD else 0,
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
    """The HAProxy backend of one destination. Its servers come from the `targets`, host names with a port each."""

    name: str
    service: Service
    destination: Destination
    port: int
    is_https_port: bool = False
    targets: tuple[tuple[str, int], ...] = ()


class Rule(NamedTuple):
    """In the stage of its map: when the look-up gave `value` and the conditions hold, the backend is found."""

    value: str
    conditions: tuple[Condition, ...]
    backend: str
    service: str


class Conflict(NamedTuple):
    """Two services ask for exactly the same; the winner's requests are served."""

    route: str
    winner: str
    loser: str


class Part(NamedTuple):
    """What one service adds to the table; each route with its place, the stage and the key in that stage's map."""

    candidate: Candidate
    backends: tuple[Backend, ...]
    routes: tuple[tuple[tuple[str, str], Route], ...]


@dataclass(frozen=True)
class RouteTable:
    """The routes of all services: map name -> key -> value, the rules after each map. `parts` are the services by name,
    `templated` those that bring templates, whose routes nobody knows."""

    parts: Mapping[str, Part]
    maps: Mapping[str, Mapping[str, str]]
    rules: Mapping[str, tuple[Rule, ...]]
    wildcard_depths: tuple[int, ...]
    conflicts: tuple[Conflict, ...]
    templated: tuple[Service, ...] = ()

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """All of them, the most specific first."""
        return tuple(sorted((route for part in self.parts.values() for _, route in part.routes), key=lambda r: r.rank))

    @cached_property
    def backends(self) -> tuple[Backend, ...]:
        return tuple(sorted((b for part in self.parts.values() for b in part.backends), key=lambda b: b.name))


def match(routes: Iterable[Route], request: Request) -> Route | None:
    """What the product means: the most specific route that matches, or none."""
    return next((route for route in sorted(routes, key=lambda r: r.rank) if route.matches(request)), None)


def compile_routes(candidates: Iterable[Candidate]) -> RouteTable:
    """The table of all services; independent of their order."""
    return Compiler().compile(candidates)


class Compiler:
    """Remembers what each service came to, so that a change costs what changed."""

    def __init__(self) -> None:
        self._parts: Mapping[str, Part] = {}

    def compile(self, candidates: Iterable[Candidate]) -> RouteTable:
        """The table of exactly these services; independent of their order and of what was compiled before."""
        parts: dict[str, Part] = {}
        for candidate in candidates:
            name = candidate.service.service_name
            part = self._parts.get(name)
            if part is None or part.candidate.service is not candidate.service or part.candidate != candidate:
                part = _part(candidate, candidate.service.acl_name or name)
            parts[name] = part
        self._parts = parts
        return _table(_with_backends_of_their_own(parts))


def _table(parts: Mapping[str, Part]) -> RouteTable:
    places: dict[tuple[str, str], list[Route]] = {}
    for part in parts.values():
        for place, route in part.routes:
            places.setdefault(place, []).append(route)
    conflicts: set[Conflict] = set()
    for place, here in places.items():
        if len(here) > 1:
            places[place] = _without_equal_claims(here, conflicts)

    maps: dict[str, dict[str, str]] = {stage: {} for stage in STAGES}
    conditional = []
    for (stage, key), here in places.items():
        maps[stage][key] = CONDITIONAL + key if here[0].conditions else here[0].backend
        if here[0].conditions:
            conditional.append((stage, key))
    rules: dict[str, list[Rule]] = {stage: [] for stage in STAGES}
    for stage, key in sorted(conditional):
        here = places[stage, key]
        chain = _until_unconditional([*here, *_shorter(places, stage, here[0])])
        rules[stage] += [Rule(CONDITIONAL + key, route.conditions, route.backend, route.service) for route in chain]
    depths = {key.partition("/")[0].count(".") for key in maps[WILDCARD]}
    bringing = [p.candidate for p in parts.values() if p.candidate.service.brings_templates]
    return RouteTable(
        parts=parts,
        maps=maps,
        rules={stage: tuple(listed) for stage, listed in rules.items()},
        wildcard_depths=tuple(sorted(depths, reverse=True)),
        conflicts=tuple(sorted(conflicts)),
        templated=tuple(candidate.service for candidate in by_seniority(bringing)),
    )


def by_seniority(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Who comes first among equals: an explicit aclName, then the older, then the name."""
    return sorted(candidates, key=_seniority)


def covers_host(pattern: str, host: str) -> bool:
    """Whether a domain, a wildcard or the empty pattern stands for this host."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return not pattern or pattern == host


def _seniority(candidate: Candidate) -> tuple[bool, str, float, str]:
    acl = candidate.service.acl_name
    return (acl is None, acl or "", candidate.created, candidate.service.service_name)


def _age(candidate: Candidate) -> tuple[float, str]:
    return (candidate.created, candidate.service.service_name)


def _part(candidate: Candidate, stem: str) -> Part:
    """Every destination's backends, and their routes: each of its hosts with each of its paths."""
    service = candidate.service
    backends: list[Backend] = []
    routes: list[Route] = []
    for destination in service.destinations:
        if destination.req_mode != "http":
            continue
        seniority = (*_seniority(candidate), destination.index)
        for backend, source_port in _backends(service, destination, stem):
            backends.append(backend)
            if service.template_fe_path:
                continue
            always = _conditions(destination, source_port)
            wanted = [
                (host, path, (*always, *for_host, *for_path), False)
                for host, *for_host in _hosts(service, destination)
                for path, *for_path in _paths(destination)
            ]
            if not backend.is_https_port:
                wanted += [(host, "/", (), False) for host in destination.redirect_from_domain]
                if service.is_default_backend and destination is service.destinations[0]:
                    wanted.append(("", "", (), True))
            routes += [
                Route(host, path, tuple(sorted(conditions)), backend.name, service.service_name, default, seniority)
                for host, path, conditions, default in wanted
            ]
    return Part(candidate, tuple(backends), tuple(((route.stage, _key(route)), route) for route in routes))


def _with_backends_of_their_own(parts: Mapping[str, Part]) -> Mapping[str, Part]:
    """Where two services come to the same name of a backend (they share an aclName), the elder keeps it, so that no
    newcomer changes what another one has."""
    names = {backend.name for part in parts.values() for backend in part.backends}
    if len(names) == sum(len(part.backends) for part in parts.values()):
        return parts
    taken: set[str] = set()
    own = {}
    for candidate in sorted((part.candidate for part in parts.values()), key=_age):
        name = candidate.service.service_name
        part = parts[name]
        if not taken.isdisjoint(backend.name for backend in part.backends):
            part = _part(candidate, f"{name}:")  # no name of a service holds a colon
        taken.update(backend.name for backend in part.backends)
        own[name] = part
    return own


def _without_equal_claims(routes: Iterable[Route], conflicts: set[Conflict]) -> list[Route]:
    """The routes of one place, the most specific first; of those with the same conditions the first alone."""
    claimed: dict[frozenset[Condition], Route] = {}
    for route in sorted(routes, key=lambda route: route.rank):
        winner = claimed.setdefault(frozenset(route.conditions), route)
        if winner is not route:
            conflicts.add(Conflict(str(route), winner.service, route.service))
    return list(claimed.values())


def _backends(service: Service, destination: Destination, stem: str) -> Iterable[tuple[Backend, int | None]]:
    """With the port that the requests must have come in on. A destination with an httpsPort has two."""
    host = destination.outbound_hostname or service.service_name
    for port, prefix, source_port in (
        (destination.port, "", destination.src_port or (80 if destination.https_port else None)),
        (destination.https_port, "https-", destination.src_https_port or 443),
    ):
        if port:
            name = f"{prefix}{stem}-be{port}_{destination.index}"
            yield Backend(name, service, destination, port, bool(prefix), ((host, port),)), source_port


def _hosts(service: Service, destination: Destination) -> Iterable[tuple[Any, ...]]:
    """Hosts that a map can find, each alone; those that are compared in another way, together as a condition."""
    domains = destination.service_domain
    if not domains:
        yield ("",)
    algorithm = re.match(r"(?:req\.)?hdr(?:_(?P<how>[a-z]+))?\(host\)", service.service_domain_algo or "")
    how = algorithm["how"] if algorithm else None
    compared = [domain for domain in domains if how and not domain.startswith("*")]
    if compared:
        yield "", Condition("host", f"{how} -i", tuple(sorted(compared)))
    endings = [domain.removeprefix("*") for domain in domains if domain.startswith("*") and domain[1] != "."]
    if endings:
        yield "", Condition("host", "end -i", tuple(sorted(endings)))
    yield from ((domain,) for domain in domains if domain.startswith("*.") or not (how or domain.startswith("*")))


def _paths(destination: Destination) -> Iterable[tuple[Any, ...]]:
    how = _how(destination)
    if how == "beg":
        yield from ((path,) for path in destination.service_path)
    elif how == "str":
        yield from ((path, Condition("path", how, (path,))) for path in destination.service_path)
    elif destination.service_path:
        yield "/", Condition("path", how, tuple(sorted(destination.service_path)))


def _how(destination: Destination) -> str:
    """HAProxy's matching method, with its flag, of a pathType."""
    keyword, _, flag = destination.path_type.partition(" ")
    return " ".join(filter(None, [keyword.partition("_")[2] or "str", flag.strip()]))


def _conditions(destination: Destination, source_port: int | None) -> tuple[Condition, ...]:
    conditions = [Condition("header", header.name, (header.value,)) for header in destination.service_header]
    if destination.user_agent:
        conditions.append(Condition("agent", "", tuple(sorted(destination.user_agent))))
    if source_port:
        conditions.append(Condition("port", "", (str(source_port),)))
    if destination.service_path_exclude:
        conditions.append(Condition("outside", _how(destination), tuple(sorted(destination.service_path_exclude))))
    return tuple(conditions)


def _key(route: Route) -> str:
    return DEFAULT if route.is_default else route.host.removeprefix("*") + route.path


def _shorter(places: Mapping[tuple[str, str], list[Route]], stage: str, route: Route) -> Iterable[Route]:
    """The routes of the same host whose path is a beginning of this one's: what the look-up would find next."""
    host = route.host.removeprefix("*")
    for end in range(len(route.path) - 1, 0, -1):
        yield from places.get((stage, host + route.path[:end]), ())


def _until_unconditional(routes: Iterable[Route]) -> list[Route]:
    chain: list[Route] = []
    for route in routes:
        chain.append(route)
        if not route.conditions:
            break
    return chain
