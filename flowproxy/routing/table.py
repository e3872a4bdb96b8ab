"""Services compiled into lookups.

The meaning is `match`: try every route, the most specific first, and take the first whose conditions hold.
`compile_routes` says the same with maps, which cost one look-up however many services there are, and with rules
only where a map cannot tell: a property test holds the two together.

A map's key is a host with a path, and HAProxy's `map_beg` finds the longest key that the request begins with.
There are three maps: of exact hosts, of wildcards (`.example.org`, looked up with the last labels of the
request's host), and of paths for any host. They are asked in that order, the wildcards once for each number of
labels that one of them has. A key that carries conditions has the value `?<host>`; the rules of that host follow the
look-up, in order, and when none holds the next map is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from flowproxy.services.model import Candidate, Destination, Service
from flowproxy.services.safeguards import better_protected, compares_normal_forms, told_apart
from flowproxy.text.paths import comparable, normal
from flowproxy.text.patterns import (
    LONGEST_AGENT,
    LONGEST_HOST,
    LONGEST_TEXT,
    MOST_STEPS,
    SEARCHING,
    is_found,
    reach_of,
    search_of,
    steps_of,
)
from flowproxy.text.secrets import header_value

EXACT, WILDCARD, PATTERN, ANY, DEFAULT = STAGES = ("exact", "wildcard", "pattern", "any", "default")
CONDITIONAL = "?"
# Who wins a conflict when it is not another service.
FOLDER, NO_SERVICE = "the folder of certificates", "no service"


class Request(NamedTuple):
    """What of a request decides where it goes. The host is without its port, in lower case."""

    host: str
    path: str
    port: int = 80
    headers: Mapping[str, str] = {}

    @property
    def normal(self) -> str | None:
        """The normal form of the path; None if it has none."""
        return normal(self.path)


class Condition(NamedTuple):
    """What a map cannot tell; templates/rules.cfg.j2 writes it.

    `kind` is one of header, agent, port, path, outside (a path that must not match), host; normal and normal-outside
    are path and outside for the path's normal form, and do not hold without one. `how` is the header's name, or
    HAProxy's matching method with its flags, such as `beg` or `reg -i`. A text longer than `reach` fulfils no
    condition, that of being outside included.
    """

    kind: str
    how: str
    values: tuple[str, ...]

    def holds(self, request: Request) -> bool:
        match self.kind:
            case "header":
                return request.headers.get(self.how) == self.values[0]
            case "agent":
                agent = request.headers.get("user-agent", "")
                return self._reaches(agent) and compares(self.method, agent, self.values)
            case "port":
                return str(request.port) in self.values
            case "host":
                return self._reaches(request.host) and compares(self.how, request.host, self.values)
            case "outside":
                return self._reaches(request.path) and not compares(self.how, request.path, self.values)
            case "normal" | "normal-outside":
                path = request.normal
                wanted = self.kind == "normal"
                return path is not None and self._reaches(path) and compares(self.how, path, self.values) == wanted
            case _:
                return self._reaches(request.path) and compares(self.how, request.path, self.values)

    @property
    def method(self) -> str:
        """HAProxy's matching method, with its flags."""
        return {"header": "str", "agent": "sub -i", "port": "int"}.get(self.kind, self.how)

    @property
    def has_patterns(self) -> bool:
        return self.kind not in ("header", "agent", "port") and self.how.startswith("reg")

    @property
    def reach(self) -> int | None:
        """The length of the longest text that its values are looked for in; None where they are compared once."""
        longest = {"host": LONGEST_HOST, "agent": LONGEST_AGENT}.get(self.kind, LONGEST_TEXT)
        if self.has_patterns:
            return reach_of(self.values, longest)
        return search_of(self.values, longest).reach if self.method.startswith(SEARCHING) else None

    @property
    def steps(self) -> int:
        """An upper bound of what its patterns cost for one request; the normal form of a path costs as much again."""
        longest = LONGEST_HOST if self.kind == "host" else LONGEST_TEXT
        return steps_of(self.values, longest) if self.has_patterns and self.decides else 0

    def _reaches(self, text: str) -> bool:
        return self.reach is None or len(text) <= self.reach

    def unevaluated(self) -> Iterable[str]:
        """The patterns that only HAProxy can evaluate."""
        return [pattern for pattern in self.values if self.has_patterns and is_found(pattern, "") is None]

    def __str__(self) -> str:
        values = " or ".join(self.values)
        named = {
            "header": f"header {self.how}: {header_value(self.how, values)}",
            "agent": f"user agent with {values}",
            "port": f"port {values}",
            "outside": f"path not {self.how} {values}",
            "normal": f"normal form of the path {self.how} {values}",
            "normal-outside": f"normal form of the path not {self.how} {values}",
        }
        return named.get(self.kind) or f"{self.kind} {self.how} {values}"

    @property
    def decides(self) -> bool:
        """Whether it makes a route more specific; the normal form only repeats what the path says."""
        return self.kind not in _OF_NORMAL_FORM


_OF_NORMAL_FORM = ("normal", "normal-outside")
_DELIMITERS = {"dir": "/?", "dom": "/?.:"}


def compares(how: str, text: str, values: Iterable[str]) -> bool:
    """HAProxy's matching methods str, beg, end, sub, reg, dir, dom, each with -i or without (configuration manual,
    7.1.3). A pattern that only HAProxy can evaluate is not found."""
    method, _, flag = how.partition(" ")
    if method == "reg":
        return any(is_found(value, text, ignoring_case=bool(flag)) for value in values)
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


class Route(NamedTuple):
    """One host with one path, and where its requests go.

    A diverted one leads away what, by the normal form of its path, is for a better protected destination.
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
        """The map that leads to it."""
        if self.is_default:
            return DEFAULT
        if self.host:
            return WILDCARD if is_wildcard(self.host) else EXACT
        return PATTERN if any(condition.kind == "host" for condition in self.conditions) else ANY

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the most specific first (docs/guide/routes.md, "Which route wins")."""
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
        """Its stage and host: what the rules of conditional routes are put together by."""
        return self.stage, host_in_key(self.host)

    @property
    def has_patterns(self) -> bool:
        return any(condition.has_patterns for condition in self.conditions)

    def covers(self, request: Request) -> bool:
        """Whether the host and the path are its own, conditions apart."""
        return covers_host(self.host, request.host) and (self.is_default or request.path.startswith(self.path))

    def matches(self, request: Request) -> bool:
        return self.covers(request) and all(condition.holds(request) for condition in self.conditions)

    def __str__(self) -> str:
        where = "any request that matches nothing else" if self.is_default else f"{self.host or '*'}{self.path}"
        return " ".join([where, *(f"[{condition}]" for condition in self.conditions)])


class Claim(NamedTuple):
    """A host with a path that a destination asks for, on conditions."""

    host: str
    path: str
    conditions: tuple[Condition, ...]


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
    """What one service adds to the table, and what is odd about it. Each route stands with its place: the stage, and
    the key in that stage's map.

    `steps` is what its patterns cost a request, for each stage and host that has some.
    """

    candidate: Candidate
    backends: tuple[Backend, ...]
    routes: tuple[tuple[tuple[str, str], Route], ...]
    steps: Mapping[tuple[str, str], int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RouteTable:
    """The routes of all services: map name -> key -> value, the rules after each map. `parts` are the services by name,
    `places` their routes by stage and key, the most specific first and without those that lost a conflict, `warnings`
    what is odd about their ports, `templated` those that bring templates, whose routes nobody knows."""

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
        """All of them, the most specific first."""
        return tuple(sorted((route for part in self.parts.values() for _, route in part.routes), key=lambda r: r.rank))

    def warnings_of(self, name: str) -> tuple[str, ...]:
        """What is odd about a service as it is compiled."""
        part = self.parts.get(name)
        return (*(part.warnings if part else ()), *self.warnings.get(name, ()))

    def holders(self, host: str) -> list[Candidate]:
        """The services with a route of this very host, of a wildcard above it, or of a pattern that it matches; regular
        expressions are not tried. Without those of any host."""
        labels = host.split(".")
        names = [host, *(f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))]
        found = {name for pattern in names for name in self._by_host.get(pattern, ())}
        for route in self._of_patterns:
            tested = [c for c in route.conditions if c.kind == "host" and not c.how.startswith("reg")]
            if tested and all(compares(c.how, host, c.values) for c in tested):
                found.add(route.service)
        return [self.parts[name].candidate for name in found]

    @cached_property
    def _by_host(self) -> Mapping[str, Set[str]]:
        """The names of the services with a route of each host, as written."""
        services: dict[str, set[str]] = {}
        for name, part in self.parts.items():
            for _, route in part.routes:
                if route.host:
                    services.setdefault(route.host, set()).add(name)
        return services

    @cached_property
    def _of_patterns(self) -> tuple[Route, ...]:
        return tuple(route for part in self.parts.values() for (stage, _), route in part.routes if stage == PATTERN)

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
                part = _part(candidate)
            parts[name] = part
        self._parts = parts
        return _table(_with_backends_of_their_own(parts))


def _table(parts: Mapping[str, Part]) -> RouteTable:
    conflicts: set[Conflict] = set()
    places: dict[tuple[str, str], list[Route]] = {}
    too_much = _beyond_budget(parts.values(), conflicts)
    for name, part in parts.items():
        for place, route in part.routes:
            if not (too_much and route.has_patterns and (name, route.group) in too_much):
                places.setdefault(place, []).append(route)
    for place, here in places.items():
        if len(here) > 1:
            places[place] = _without_equal_claims(here, conflicts)

    maps: dict[str, dict[str, str]] = {stage: {} for stage in STAGES}
    conditional = set()
    for (stage, key), here in places.items():
        first = here[0]
        maps[stage][key] = CONDITIONAL + first.group[1] if first.conditions else first.backend
        if first.conditions:
            conditional.add(first.group)
    grouped: dict[tuple[str, str], list[list[Route]]] = {group: [] for group in conditional}
    for here in places.values() if conditional else ():
        if here[0].group in conditional:
            grouped[here[0].group].append(here)
    rules: dict[str, list[Rule]] = {stage: [] for stage in STAGES}
    for (stage, host), group in sorted(grouped.items()):
        rules[stage] += rules_of(CONDITIONAL + host, group)
    depths = {key.partition("/")[0].count(".") for key in maps[WILDCARD]}
    bringing = [p.candidate for p in parts.values() if p.candidate.service.brings_templates]
    return RouteTable(
        parts=parts,
        maps=maps,
        rules={stage: tuple(listed) for stage, listed in rules.items()},
        wildcard_depths=tuple(sorted(depths, reverse=True)),
        conflicts=tuple(sorted(conflicts)),
        places=places,
        templated=tuple(candidate.service for candidate in by_seniority(bringing)),
    )


def by_seniority(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Who comes first among equals."""
    return sorted(candidates, key=lambda candidate: candidate.seniority)


def by_age(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The oldest first."""
    return sorted(candidates, key=lambda candidate: candidate.age)


def is_wildcard(host: str) -> bool:
    """Whether a host stands for all names below it."""
    return host.startswith("*.")


def host_in_key(host: str) -> str:
    """Return the host as the keys of its map begin: `.example.org` for `*.example.org`."""
    return host[1:] if is_wildcard(host) else host


def covers_host(pattern: str, host: str) -> bool:
    """Whether a domain, a wildcard or the empty pattern stands for this host."""
    if is_wildcard(pattern):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return not pattern or pattern == host


def _part(candidate: Candidate, *, of_its_own: bool = False) -> Part:
    """Every destination's backends, and their routes: each of its hosts with each of its paths."""
    service = candidate.service
    backends: list[Backend] = []
    routes: list[Route] = []
    siblings = told_apart(service.destinations)
    for destination in service.destinations:
        if destination.req_mode != "http":
            continue
        seniority = (*candidate.seniority, destination.index)
        better = better_protected(destination, siblings)
        for backend, source_port in _backends(service, destination, of_its_own):
            backends.append(backend)
            if service.template_fe_path:
                continue
            claims = list(_claims(service, destination, source_port, siblings))
            diverted = _diverted(service, destination, better, claims, of_its_own=of_its_own)
            wanted = [(claim, backend.name, False) for claim in claims]
            if not backend.is_https_port:
                wanted += [(Claim(host, "/", ()), backend.name, False) for host in destination.redirect_from_domain]
                if service.is_default_backend and destination is service.destinations[0]:
                    wanted.append((Claim("", "", ()), backend.name, True))
            asked = (service.service_name, seniority)
            routes += [_route(claim, name, *asked, is_default=default) for claim, name, default in wanted]
            routes += [_route(claim, name, *asked, is_diverted=True) for claim, name in diverted]
    steps: dict[tuple[str, str], int] = {}
    for group, condition in {(route.group, c) for route in routes for c in route.conditions if c.has_patterns}:
        steps[group] = steps.get(group, 0) + condition.steps
    placed = tuple(((route.stage, _key(route)), route) for route in routes)
    return Part(candidate, tuple(backends), placed, steps, tuple(_doubled(placed)))


def _route(
    claim: Claim,
    backend: str,
    service: str,
    seniority: Seniority,
    *,
    is_default: bool = False,
    is_diverted: bool = False,
) -> Route:
    conditions = _in_order(claim.conditions)
    return Route(claim.host, claim.path, conditions, backend, service, is_default, seniority, is_diverted)


def _doubled(placed: Iterable[tuple[tuple[str, str], Route]]) -> Iterable[str]:
    """Routes of one service that are asked for twice with two backends: the second never serves."""
    claimed: dict[object, Route] = {}
    for place, route in sorted(placed, key=lambda item: item[1].rank):
        first = claimed.setdefault((place, frozenset(route.conditions)), route)
        if first.backend != route.backend:
            yield f"the route {route} leads to {first.backend}; another destination of this service asks for it too"


def _with_backends_of_their_own(parts: Mapping[str, Part]) -> Mapping[str, Part]:
    """Where two services come to the same name of a backend (they share an aclName), the elder keeps it, so that no
    newcomer changes what another one has."""
    names = {backend.name for part in parts.values() for backend in part.backends}
    if len(names) == sum(len(part.backends) for part in parts.values()):
        return parts
    taken: set[str] = set()
    own = {}
    for candidate in by_age(part.candidate for part in parts.values()):
        name = candidate.service.service_name
        part = parts[name]
        if not taken.isdisjoint(backend.name for backend in part.backends):
            part = _part(candidate, of_its_own=True)
        taken.update(backend.name for backend in part.backends)
        own[name] = part
    return own


def _without_equal_claims(routes: Iterable[Route], conflicts: set[Conflict]) -> list[Route]:
    """The routes of one place, the most specific first; of those with the same conditions the first alone."""
    claimed: dict[frozenset[Condition], Route] = {}
    for route in sorted(routes, key=lambda route: route.rank):
        winner = claimed.setdefault(frozenset(route.conditions), route)
        if winner.service != route.service:
            conflicts.add(Conflict(str(route), winner.service, route.service))
    return list(claimed.values())


def name_of_its_own(kind: str, name: str, port: int | None, index: int | None = None) -> str:
    """Return the name of a backend that no other one can come to: neither a name that a service gives itself nor the
    kinds `http`, `https`, `tcp`, `sni` and `group` hold a colon, and the other backends of services hold none."""
    return f"{kind}:{name}:{port}" if index is None else f"{kind}:{name}:{port}_{index}"


def _backends(service: Service, destination: Destination, of_its_own: bool) -> Iterable[tuple[Backend, int | None]]:
    """With the port that the requests must have come in on. A destination with an httpsPort has two."""
    stem = service.acl_name or service.service_name
    host = destination.outbound_hostname or service.service_name
    for port, prefix, source_port in (
        (destination.port, "", destination.src_port or (80 if destination.https_port else None)),
        (destination.https_port, "https-", destination.src_https_port or 443),
    ):
        if port:
            name = f"{prefix}{stem}-be{port}_{destination.index}"
            if of_its_own:
                name = name_of_its_own("https" if prefix else "http", service.service_name, port, destination.index)
            yield Backend(name, service, destination, port, bool(prefix), ((host, port),)), source_port


def _claims(
    service: Service, destination: Destination, source_port: int | None, siblings: Iterable[Destination]
) -> Iterable[Claim]:
    """Each host of a destination with each of its paths."""
    always = _conditions(destination, source_port)
    if compares_normal_forms(destination, siblings):
        always += _of_normal_form(destination)
    for host, *for_host in _hosts(service, destination):
        for path, *for_path in _paths(destination):
            yield Claim(host, path, (*always, *for_host, *for_path))


def _diverted(
    service: Service,
    destination: Destination,
    better: Iterable[Destination],
    claims: list[Claim],
    *,
    of_its_own: bool,
) -> Iterable[tuple[Claim, str]]:
    """What must be left to better protected destinations because of the path's normal form; with their backends."""
    for other in better:
        forms = list(_preferred_forms(other, destination))
        for backend, source_port in _backends(service, other, of_its_own):
            theirs = _conditions(other, source_port)
            for host, *for_host in _hosts(service, other):
                for claim in claims:
                    narrowed = _narrowed(claim.host, host)
                    if narrowed is None:
                        continue
                    own = [condition for condition in claim.conditions if condition.decides]
                    for form in forms:
                        conditions = {*own, *theirs, *for_host, *narrowed, *form}
                        yield claim._replace(conditions=tuple(conditions)), backend.name


def _preferred_forms(other: Destination, destination: Destination) -> Iterable[tuple[Condition, ...]]:
    """The conditions on a normal form that is for another destination rather than for this one.

    As for paths as they are sent, the longer path decides, and paths that are compared in another way than whole or by
    their beginning are as long as `/`. In doubt it is for the other one, which is better protected.
    """
    theirs, own = set(other.service_path), set(destination.service_path)
    longer = theirs - {"/"} if _is_indexed(other) else set()
    if longer:
        mine = {path for path in own if _is_indexed(destination) and _extends(path, longer)}
        yield _form(other, longer, destination, mine)
        within = {path for path in longer if _extends(path, mine)}
        if within:
            yield _form(other, within, destination, set())
    shortest = theirs - longer
    if shortest:
        alike = not (_is_indexed(other) or _is_indexed(destination))
        mine = own - {"/"} if _is_indexed(destination) else own
        yield _form(other, shortest, destination, mine if not alike or destination.index < other.index else set())


def _is_indexed(destination: Destination) -> bool:
    return _how(destination) in ("beg", "str")


def _extends(path: str, beginnings: Iterable[str]) -> bool:
    return any(path != beginning and path.startswith(beginning) for beginning in beginnings)


def _form(
    other: Destination, theirs: Iterable[str], destination: Destination, mine: Iterable[str]
) -> tuple[Condition, ...]:
    """That a normal form is one of another destination's paths, and none of this one's."""
    conditions = [_compared("normal", other, theirs)]
    if mine:
        conditions.append(_compared("normal-outside", destination, mine))
    if other.service_path_exclude:
        conditions.append(_compared("normal-outside", other, other.service_path_exclude))
    return tuple(conditions)


def _of_normal_form(destination: Destination) -> tuple[Condition, ...]:
    """What the paths of a destination say, for the normal form."""
    return _form(destination, destination.service_path, destination, ())


def _compared(kind: str, destination: Destination, values: Iterable[str]) -> Condition:
    how = _how(destination)
    if not how.startswith("reg"):
        values = {comparable(value) for value in values}
    return Condition(kind, how, tuple(_shortest(values) if how == "beg" else sorted(values)))


def _shortest(paths: Iterable[str]) -> list[str]:
    """Those that begin with no other one, in order."""
    kept: list[str] = []
    for path in sorted(paths):
        if not (kept and path.startswith(kept[-1])):
            kept.append(path)
    return kept


def _narrowed(host: str, other: str) -> tuple[Condition, ...] | None:
    """The condition for requests to a host that are for another host too: none where all are, None where no one is."""
    is_wildcard, other_is_wildcard = host.startswith("*."), other.startswith("*.")
    if other in ("", host):
        return ()
    if host and not is_wildcard:
        return () if covers_host(other, host) else None
    if is_wildcard and other_is_wildcard and host.endswith(other[1:]):
        return ()
    if not covers_host(host, other.removeprefix("*.")):
        return None
    return (Condition("host", "end -i" if other_is_wildcard else "str -i", (other.removeprefix("*"),)),)


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


def asked_hosts(service: Service) -> tuple[list[str], list[Condition]]:
    """Return the hosts that a service's http routes are for: names and wildcards as they are written, and patterns. A
    name that is compared in another way than whole is among both, a regular expression is no name."""
    names: list[str] = []
    patterns: list[Condition] = []
    for destination in service.destinations:
        if destination.req_mode != "http":
            continue
        names += destination.redirect_from_domain
        for host, *conditions in _hosts(service, destination):
            patterns += conditions
            names += [host] if host else []
            names += [v for c in conditions if not c.how.startswith(("reg", "end")) for v in c.values]
    return names, patterns


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
    return DEFAULT if route.is_default else host_in_key(route.host) + route.path


def _in_order(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Patterns, which take the longest, last: they are evaluated only where everything else holds."""
    return tuple(sorted(conditions, key=lambda condition: (condition.has_patterns, condition)))


def _beyond_budget(parts: Iterable[Part], conflicts: set[Conflict]) -> set[tuple[str, tuple[str, str]]]:
    """The services, with a stage and host each, whose patterns would make one request there too expensive: the oldest
    come first, however many there are."""
    spent: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], str] = {}
    beyond = set()
    for part in sorted((part for part in parts if part.steps), key=lambda part: part.candidate.seniority):
        name = part.candidate.service.service_name
        for group, steps in sorted(part.steps.items()):
            oldest = first.setdefault(group, name)
            if spent.get(group, 0) + steps <= MOST_STEPS:
                spent[group] = spent.get(group, 0) + steps
                continue
            beyond.add((name, group))
            wanted = f"regular expressions for {group[1] or '*'} (all services may cost a request {MOST_STEPS} steps)"
            conflicts.add(Conflict(wanted, oldest if oldest != name else NO_SERVICE, name))
    return beyond


# Rules


class _Outcome(NamedTuple):
    """What a rule leads to, and how it compares paths: the routes that have this in common can share one rule."""

    method: str
    conditions: tuple[Condition, ...]
    backend: str
    service: str


class _Below(NamedTuple):
    """The places below a path: the last `level` that has rules for them, and its outcome unless it has several.

    `is_open`: whether a look-up there can find conditions and none that holds.
    """

    path: str
    level: int
    outcome: _Outcome | None
    is_open: bool


def rules_of(value: str, places: Iterable[list[Route]]) -> list[Rule]:
    """Return the rules of one host, in the order in which they are tried.

    Each of `places` holds the routes of one path, the most specific first. A route must be tried after all others that
    are for its path or a longer one, unless they come to the same; each gets the lowest level that allows this, and
    the routes of a level that come to the same share one rule. So there are as many rules as there are outcomes, and
    more only where different ones are nested.
    """
    levels: dict[tuple[int, _Outcome], list[Route]] = {}
    finished: list[_Below] = []
    for here in sorted(places, key=lambda routes: routes[0].path, reverse=True):
        path = here[0].path
        below = _Below(path, -1, None, is_open=False)
        while finished and finished[-1].path.startswith(path):
            below = _together(below, finished.pop())
        for route in here:
            if not (route.conditions or below.is_open):
                break
            outcome = _outcome(route)
            level = max(0, below.level + (outcome != below.outcome))
            levels.setdefault((level, outcome), []).append(route)
            below = _Below(path, level, outcome, is_open=bool(route.conditions))
        finished.append(below._replace(path=path, is_open=below.is_open and bool(here[-1].conditions)))
    ordered = sorted(levels.items(), key=lambda item: (item[0][0], min(route.rank for route in item[1])))
    return [_rule(value, outcome, [route.path for route in routes]) for (_, outcome), routes in ordered]


def _together(one: _Below, other: _Below) -> _Below:
    is_open = one.is_open or other.is_open
    if one.level == other.level:
        return one._replace(outcome=one.outcome if one.outcome == other.outcome else None, is_open=is_open)
    higher = max(one, other, key=lambda below: below.level)
    return higher._replace(is_open=is_open)


def _outcome(route: Route) -> _Outcome:
    """That the path is equal, which every route of a destination says of another path, is left to the method."""
    exact = Condition("path", "str", (route.path,))
    others = tuple(condition for condition in route.conditions if condition != exact)
    return _Outcome("str" if exact in route.conditions else "beg", others, route.backend, route.service)


def _rule(value: str, outcome: _Outcome, paths: list[str]) -> Rule:
    kept = _shortest(paths) if outcome.method == "beg" else sorted(paths)
    covers = () if outcome.method == "beg" and kept == ["/"] else (Condition("path", outcome.method, tuple(kept)),)
    return Rule(value, (*covers, *outcome.conditions), outcome.backend, outcome.service)
