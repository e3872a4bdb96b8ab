"""Which routes take requests that another service's route would get if they were not there.

That the more specific route wins is a feature; that nobody hears of it is not. `Overlaps` says who takes which requests
from whom, and whether that is likely to be meant.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple

from flowproxy.routing.table import (
    ANY,
    DEFAULT,
    EXACT,
    PATTERN,
    STAGES,
    WILDCARD,
    Condition,
    Part,
    Route,
    RouteTable,
    compares,
    host_in_key,
)

WARNING, INFORMATION = "warning", "information"

_EXAMINED = 100  # routes that one route is compared with, and that are looked for from the loser's side
_LOSERS = 8  # that one route is said to take from
_ROUTES = 200  # of one service that are looked at without looking at all services
_LONGEST = 1000  # characters of an expression that is looked into
_FEW = 20  # changed services; when more have changed, all are looked at
_END = "\U0010ffff"

_WELL_KNOWN = "/.well-known"
# Texts that nearly every User-Agent has, and headers that nearly every client sends alike, or that HAProxy sets itself.
_AGENTS = ("mozilla/5.0 (", "applewebkit/537.36 (khtml, like gecko)")
_HEADERS = {"host", "connection", "accept", "accept-encoding", "upgrade-insecure-requests", "x-forwarded-proto"}


class Overlap(NamedTuple):
    """Requests of `taker`'s `route` that would be of `loser`'s `from_route` without it."""

    taker: str
    route: str
    loser: str
    from_route: str
    level: str
    reason: str

    def __str__(self) -> str:
        return (
            f"the route {self.route} of service {self.taker} takes requests from {self.from_route}"
            f" of service {self.loser}: {self.reason}"
        )


class Overlaps:
    """Remembers what it found in the routes that it was asked for last. `ports` are those of the traffic."""

    def __init__(self, ports: Iterable[int]) -> None:
        self._ports = frozenset(map(str, ports))
        self._search = _Search({}, {}, self._ports)

    def all(self, table: RouteTable) -> tuple[Overlap, ...]:
        """Return every overlap, warnings first."""
        return self._of(table).all

    def of(self, table: RouteTable, name: str) -> tuple[Overlap, ...]:
        """Return those in which a service takes or loses, warnings first, without looking at all the others; of one
        with hundreds of routes not every overlap."""
        return tuple(sorted(set(self._of(table).of(name)), key=_order))

    def _of(self, table: RouteTable) -> _Search:
        search = self._search  # another thread may put another one in its place
        if search.parts != table.parts:
            search = self._search = _Search(table.parts, table.places, self._ports)
        return search


class Reported:
    """The pairs of services whose overlaps have been reported."""

    def __init__(self) -> None:
        self._parts: Mapping[str, Part] = {}
        self._pairs: set[tuple[str, str]] = set()

    def new(self, overlaps: Overlaps, table: RouteTable) -> list[Overlap]:
        """Return one overlap, the worst, of each pair that had none when this was asked last."""
        parts, self._parts = self._parts, table.parts
        changed = {name for name in parts.keys() | table.parts.keys() if parts.get(name) is not table.parts.get(name)}
        if len(changed) > _FEW:
            found = list(overlaps.all(table))
            kept: set[tuple[str, str]] = set()
        else:
            found = [overlap for name in sorted(changed) for overlap in overlaps.of(table, name)]
            kept = {pair for pair in self._pairs if changed.isdisjoint(pair)}
        worst: dict[tuple[str, str], Overlap] = {}
        for overlap in found:
            worst.setdefault((overlap.taker, overlap.loser), overlap)
        new = [overlap for pair, overlap in worst.items() if pair not in self._pairs]
        self._pairs = kept | worst.keys()
        return sorted(new, key=_order)


def _order(overlap: Overlap) -> tuple[object, ...]:
    return (overlap.level != WARNING, *overlap)


class _Search:
    """The places of one table, with their keys in order."""

    def __init__(
        self, parts: Mapping[str, Part], places: Mapping[tuple[str, str], Sequence[Route]], ports: frozenset[str]
    ) -> None:
        self.parts = parts
        self._places = places
        self._ports = ports
        self._sorted: dict[str, list[str]] = {}
        self._ranked: dict[tuple[str, str], Mapping[int, int]] = {}

    @cached_property
    def all(self) -> tuple[Overlap, ...]:
        routes = (route for (stage, _), here in self._places.items() if stage != DEFAULT for route in here)
        return tuple(sorted((overlap for route in routes for overlap in self._taken_by(route)), key=_order))

    def of(self, name: str) -> Iterator[Overlap]:
        part = self.parts.get(name)
        serving = [
            route
            for place, route in (part.routes if part else ())
            if not route.is_default and id(route) in self._ranks(place)  # it did not lose a conflict
        ]
        for route in serving[:_ROUTES]:
            yield from self._taken_by(route)
        others = chain.from_iterable(map(self._before, serving[: _ROUTES // 10]))
        for other in {id(other): other for other in islice(others, _EXAMINED)}.values():
            yield from (overlap for overlap in self._taken_by(other) if overlap.loser == name)

    def _taken_by(self, route: Route) -> Iterator[Overlap]:
        losers: set[str] = set()
        for other in islice(self._after(route), _EXAMINED):
            if not _share(route, other):
                continue
            if other.service not in (route.service, *losers):
                losers.add(other.service)
                yield self._overlap(route, other)
            if len(losers) == _LOSERS or (not other.conditions and route.path.startswith(other.path)):
                return

    def _overlap(self, route: Route, other: Route) -> Overlap:
        beside = self.parts[route.service].candidate.is_beside(self.parts[other.service].candidate)
        level, reason = _judged(route, other, beside, self._ports)
        return Overlap(route.service, str(route), other.service, str(other), level, reason)

    def _after(self, route: Route) -> Iterator[Route]:
        """The less specific routes that may match its requests, the most specific first."""
        place = (route.stage, _key(route))
        yield from islice(self._places[place], self._ranks(place)[id(route)] + 1, None)
        yield from self._at(route.stage, self._beginnings(route.stage, route))
        for stage, host in _wider(route):
            if not self._keys(stage):
                continue
            longer = self._beginning_with(stage, host + route.path)
            yield from self._at(stage, sorted(longer, key=len, reverse=True))
            yield from self._at(stage, self._beginnings(stage, route._replace(host=host, path=route.path + "/")))

    def _before(self, route: Route) -> Iterator[Route]:
        """The more specific routes that may match its requests."""
        key = _key(route)
        yield from islice(self._places[route.stage, key], self._ranks((route.stage, key))[id(route)])
        longer = (longer for longer in self._beginning_with(route.stage, key) if longer != key)
        yield from self._at(route.stage, longer)
        if route.stage == WILDCARD:
            longer = (k for k in self._keys(WILDCARD) if len(_host(k)) >= len(route.host) and _is_narrower(k, route))
            yield from self._at(WILDCARD, longer)
        for stage in STAGES[: STAGES.index(route.stage)]:
            yield from self._at(stage, (k for k in self._keys(stage) if _is_narrower(k, route)))

    def _at(self, stage: str, keys: Iterable[str]) -> Iterator[Route]:
        return chain.from_iterable(self._places[stage, key] for key in keys)

    def _beginnings(self, stage: str, route: Route) -> Iterator[str]:
        """Keys that its own begins with, the longest first."""
        keys, key = self._keys(stage), _key(route)[:-1]
        shortest = len(_key(route)) - len(route.path)
        while len(key) > shortest:
            found = bisect_right(keys, key) - 1
            if found < 0:
                return
            nearest = keys[found]
            if key.startswith(nearest):
                yield nearest
                key = nearest[:-1]
            else:
                key = _common(key, nearest)

    def _beginning_with(self, stage: str, key: str) -> list[str]:
        keys = self._keys(stage)
        first = bisect_left(keys, key)
        last = min(bisect_left(keys, key + _END), first + _EXAMINED)
        return keys[first:last]

    def _ranks(self, place: tuple[str, str]) -> Mapping[int, int]:
        """Where each route stands among those of its place, by its identity."""
        if place not in self._ranked:
            self._ranked[place] = {id(route): rank for rank, route in enumerate(self._places.get(place, ()))}
        return self._ranked[place]

    def _keys(self, stage: str) -> list[str]:
        if stage not in self._sorted:
            self._sorted[stage] = sorted(key for of, key in self._places if of == stage)
        return self._sorted[stage]


def _key(route: Route) -> str:
    return host_in_key(route.host) + route.path


def _wider(route: Route) -> Iterator[tuple[str, str]]:
    """The stages, each with the beginning of its keys, that are asked after the route's own host."""
    if route.stage in (EXACT, WILDCARD):
        labels = route.host.removeprefix("*.").split(".")
        for start in range(1, len(labels)):
            yield WILDCARD, "." + ".".join(labels[start:])
        yield PATTERN, ""
    if route.stage != ANY:
        yield ANY, ""


def _host(key: str) -> str:
    return key.partition("/")[0]


def _is_narrower(key: str, route: Route) -> bool:
    """Whether a key is of a host below the route's, and of a path that meets the route's."""
    host, _, path = key.partition("/")
    if route.stage == WILDCARD and not host.endswith(route.host[1:]):
        return False
    return route.path.startswith(f"/{path}") or path.startswith(route.path[1:])


def _common(one: str, other: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


# Whether two routes have requests in common


def _share(route: Route, other: Route) -> bool:
    """Whether some request meets the conditions of both; True where nobody can say."""
    return _share_values(route, other) and _share_host(route, other) and _share_path(route, other)


def _share_values(route: Route, other: Route) -> bool:
    for mine in route.conditions:
        for theirs in other.conditions:
            same = mine.kind == theirs.kind and mine.how == theirs.how
            if same and mine.kind in ("header", "port") and not set(mine.values) & set(theirs.values):
                return False
    return True


def _share_host(route: Route, other: Route) -> bool:
    for condition in other.conditions:
        if condition.kind != "host" or condition.how.startswith("reg"):
            continue
        if route.stage == EXACT and not compares(condition.how, route.host, condition.values):
            return False
        if route.stage == WILDCARD and condition.how.startswith("end"):
            ending = route.host[1:]
            if not any(value.endswith(ending) or ending.endswith(value) for value in condition.values):
                return False
    return True


def _share_path(route: Route, other: Route) -> bool:
    for one, another in ((route, other), (other, route)):
        exact = [condition.values for condition in one.conditions if (condition.kind, condition.how) == ("path", "str")]
        if exact and not any(_takes_path(another, path) for path in exact[0]):
            return False
        if not exact and any(
            condition.kind == "outside" and condition.how == "beg" and another.path.startswith(condition.values)
            for condition in one.conditions
        ):
            return False
    return True


def _takes_path(route: Route, path: str) -> bool:
    tested = [c for c in route.conditions if c.kind in ("path", "outside") and not c.how.startswith("reg")]
    return path.startswith(route.path) and all(compares(c.how, path, c.values) == (c.kind == "path") for c in tested)


# How bad it is


def _judged(route: Route, other: Route, beside: bool, ports: frozenset[str]) -> tuple[str, str]:
    """The level, and why."""
    if (route.host, route.path) == (other.host, other.path):
        for condition in set(route.conditions) - set(other.conditions):
            if _holds_nearly_always(condition, other, ports):
                return WARNING, f"its condition holds for nearly every request: {condition}"
    why = _precedence(route, other)
    if beside:
        return INFORMATION, f"{why}, and both are of one stack"
    takes_any = not other.host and other.path == "/" and not other.conditions
    gives_way = (takes_any and (route.host or route.path != "/")) or (route.host and other.stage == ANY)
    if gives_way and not route.path.startswith(_WELL_KNOWN):
        return INFORMATION, f"{why}, and what takes requests for any host gives way"
    return WARNING, f"{why}, and they are of different stacks"


def _precedence(route: Route, other: Route) -> str:
    """What makes the one more specific."""
    if route.stage != other.stage or route.host != other.host:
        return "its host is more specific"
    return "its path is longer" if route.path != other.path else "it has more conditions"


def _holds_nearly_always(condition: Condition, other: Route, ports: frozenset[str]) -> bool:
    """Whether it holds for nearly all requests of the other route."""
    values = [value.lower() for value in condition.values]
    method = condition.how.partition(" ")[0]
    match condition.kind:
        case "outside" | "normal-outside":
            return True
        case "normal":
            return False
        case "port":
            return not ports.isdisjoint(values)
        case "header":
            return condition.how in _HEADERS
        case "agent":
            return any(len(value) < 3 or any(value in agent for agent in _AGENTS) for value in values)
    if method == "reg":
        return any(map(_is_broad, values))
    if method == "beg" and condition.kind == "path":
        return any(other.path.lower().startswith(value) for value in values)
    return method != "str" and any(len(value) < 2 for value in values)


def _is_broad(expression: str) -> bool:
    """Whether some alternative of a regular expression asks for no letter or digit; one that is too long to be looked
    into counts as such."""
    if len(expression) > _LONGEST:
        return True
    bare = expression
    for pattern in (
        r"\(\?<?[!=](?:\\.|[^\\()])*\)",  # what stands before or behind
        r"\\[a-z]",  # classes
        r"\[\^?\]?(?:\\.|[^\]\\])*\]",
        r"(?:\\?.)(?:[?*]|\{0?,[0-9]*\})",  # what may be missing
        r"\{[0-9,]*\}",
        r"\(\?[a-z:]*",
    ):
        bare = re.sub(pattern, "", bare)
    return any(not re.search(r"[a-z0-9]", alternative) for alternative in bare.split("|"))
