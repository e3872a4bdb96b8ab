"""The routes whose requests another route may match: those near it in the order of specificity."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from flowproxy.routing.meaning import ANY, EXACT, PATTERN, STAGES, WILDCARD, Route, host_in_key

EXAMINED = 100  # routes that one route is compared with
_END = "\U0010ffff"


class NearbyRoutes:
    """The places of one table, with their keys in order. `places` are the routes by stage and key."""

    def __init__(self, places: Mapping[tuple[str, str], Sequence[Route]]) -> None:
        self._places = places
        self._sorted: dict[str, list[str]] = {}
        self._ranked: dict[tuple[str, str], Mapping[int, int]] = {}

    def serves(self, route: Route) -> bool:
        """Return whether a route is in the table: it did not lose a conflict."""
        return id(route) in self._ranks((route.stage, route.key))

    def less_specific(self, route: Route) -> Iterator[Route]:
        """Yield the less specific routes that may match a route's requests, the most specific first."""
        place = (route.stage, route.key)
        yield from islice(self._places[place], self._ranks(place)[id(route)] + 1, None)
        yield from self._at(route.stage, self._beginnings(route.stage, route))
        for stage, host in _wider(route):
            if not self._keys(stage):
                continue
            longer = self._beginning_with(stage, host + route.path)
            yield from self._at(stage, sorted(longer, key=len, reverse=True))
            yield from self._at(stage, self._beginnings(stage, route._replace(host=host, path=route.path + "/")))

    def more_specific(self, route: Route) -> Iterator[Route]:
        """Yield the more specific routes that may match a route's requests."""
        key = route.key
        yield from islice(self._places[route.stage, key], self._ranks((route.stage, key))[id(route)])
        longer = (longer for longer in self._beginning_with(route.stage, key) if longer != key)
        yield from self._at(route.stage, longer)
        if route.stage == WILDCARD:
            longer = (k for k in self._keys(WILDCARD) if len(_host(k)) >= len(route.host) and _is_narrower(k, route))
            yield from self._at(WILDCARD, longer)
        for stage in STAGES[: STAGES.index(route.stage)]:
            yield from self._at(stage, (key for key in self._keys(stage) if _is_narrower(key, route)))

    def _at(self, stage: str, keys: Iterable[str]) -> Iterator[Route]:
        return chain.from_iterable(self._places[stage, key] for key in keys)

    def _beginnings(self, stage: str, route: Route) -> Iterator[str]:
        """Yield the keys that a route's key begins with, the longest first."""
        whole = host_in_key(route.host) + route.path
        keys, key = self._keys(stage), whole[:-1]
        shortest = len(whole) - len(route.path)
        while len(key) > shortest:
            found = bisect_right(keys, key) - 1
            if found < 0:
                return
            nearest = keys[found]
            if key.startswith(nearest):
                yield nearest
                key = nearest[:-1]
            else:
                key = _common_beginning(key, nearest)

    def _beginning_with(self, stage: str, key: str) -> list[str]:
        keys = self._keys(stage)
        first = bisect_left(keys, key)
        last = min(bisect_left(keys, key + _END), first + EXAMINED)
        return keys[first:last]

    def _ranks(self, place: tuple[str, str]) -> Mapping[int, int]:
        """Return the position of each route among those of its place, by its identity."""
        if place not in self._ranked:
            self._ranked[place] = {id(route): rank for rank, route in enumerate(self._places.get(place, ()))}
        return self._ranked[place]

    def _keys(self, stage: str) -> list[str]:
        if stage not in self._sorted:
            self._sorted[stage] = sorted(key for of, key in self._places if of == stage)
        return self._sorted[stage]


def _wider(route: Route) -> Iterator[tuple[str, str]]:
    """Yield the stages that are asked after the route's own host, each with the beginning of its keys."""
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
    """Return whether the host of a key is below the route's, and one of their paths begins with the other."""
    host, _, path = key.partition("/")
    if route.stage == WILDCARD and not host.endswith(route.host[1:]):
        return False
    return route.path.startswith(f"/{path}") or path.startswith(route.path[1:])


def _common_beginning(one: str, other: str) -> str:
    for position, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return one[:position]
    return one[: min(len(one), len(other))]
