"""Routes that take requests from another service's route.

That the more specific route wins is intended, but the loser should know. `Overlaps` finds who takes which requests from
whom, and whether that is likely to be a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple

from flowproxy.routing.common_requests import have_common_requests
from flowproxy.routing.meaning import DEFAULT, Route
from flowproxy.routing.nearby_routes import EXAMINED, NearbyRoutes
from flowproxy.routing.overlap_level import WARNING, level_of
from flowproxy.routing.table import Part, RouteTable

_LOSERS = 8  # that are named for one route
_ROUTES = 200  # of one service that are examined without looking at all services
_FEW = 20  # changed services; when more have changed, all are examined


class Overlap(NamedTuple):
    """Requests of `taker`'s `route` that would go to `loser`'s `from_route` without it."""

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
    """Finds overlaps, and remembers those of the table that it looked at last. `ports` are the ports for traffic."""

    def __init__(self, ports: Iterable[int]) -> None:
        self._ports = frozenset(map(str, ports))
        self._search = _Search(None, self._ports)

    def all(self, table: RouteTable) -> tuple[Overlap, ...]:
        """Return every overlap, warnings first."""
        return self._of(table).all

    def of(self, table: RouteTable, name: str) -> tuple[Overlap, ...]:
        """Return the overlaps in which a service takes or loses, warnings first, without examining all services.

        Some overlaps of a service with hundreds of routes are left out.
        """
        return tuple(sorted(set(self._of(table).of(name)), key=_order))

    def _of(self, table: RouteTable) -> _Search:
        search = self._search  # another thread may replace it
        if search.parts != table.parts:
            search = self._search = _Search(table, self._ports)
        return search


class Reported:
    """The pairs of services whose overlaps have been reported."""

    def __init__(self) -> None:
        self._parts: Mapping[str, Part] = {}
        self._pairs: set[tuple[str, str]] = set()

    def new(self, overlaps: Overlaps, table: RouteTable) -> list[Overlap]:
        """Return the worst overlap of each pair of services that had none in the table before."""
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
    """The overlaps of one table."""

    def __init__(self, table: RouteTable | None, ports: frozenset[str]) -> None:
        self.parts = table.parts if table else {}
        self._places = table.places if table else {}
        self._nearby = NearbyRoutes(self._places)
        self._ports = ports

    @cached_property
    def all(self) -> tuple[Overlap, ...]:
        """Every overlap, warnings first."""
        routes = (route for (stage, _), here in self._places.items() if stage != DEFAULT for route in here)
        return tuple(sorted((overlap for route in routes for overlap in self._taken_by(route)), key=_order))

    def of(self, name: str) -> Iterator[Overlap]:
        """Yield the overlaps in which a service takes or loses."""
        part = self.parts.get(name)
        routes = [route for _, route in part.routes if not route.is_default] if part else []
        serving = [route for route in routes if self._nearby.serves(route)]
        for route in serving[:_ROUTES]:
            yield from self._taken_by(route)
        others = chain.from_iterable(map(self._nearby.more_specific, serving[: _ROUTES // 10]))
        for other in {id(other): other for other in islice(others, EXAMINED)}.values():
            yield from (overlap for overlap in self._taken_by(other) if overlap.loser == name)

    def _taken_by(self, route: Route) -> Iterator[Overlap]:
        losers: set[str] = set()
        for other in islice(self._nearby.less_specific(route), EXAMINED):
            if not have_common_requests(route, other):
                continue
            if other.service not in (route.service, *losers):
                losers.add(other.service)
                yield self._overlap(route, other)
            if len(losers) == _LOSERS or (not other.conditions and route.path.startswith(other.path)):
                return

    def _overlap(self, route: Route, other: Route) -> Overlap:
        taker, loser = self.parts[route.service].candidate, self.parts[other.service].candidate
        level, reason = level_of(route, other, same_owner=taker.is_beside(loser), ports=self._ports)
        return Overlap(route.service, str(route), other.service, str(other), level, reason)
