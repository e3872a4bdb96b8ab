"""The rules of one host: as few as say the same as its conditional routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.routing.claims import shortest
from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import Route
from flowproxy.routing.table import Rule


class _Outcome(NamedTuple):
    """Where a rule leads, and how it compares paths. Routes with the same outcome can share one rule."""

    method: str
    conditions: tuple[Condition, ...]
    backend: str
    service: str


class _Below(NamedTuple):
    """The places below a path: the last `level` with rules for them, and its outcome unless it has several.

    `is_open`: whether a lookup there can find conditions of which none holds.
    """

    path: str
    level: int
    outcome: _Outcome | None
    is_open: bool


def rules_of(value: str, places: Iterable[list[Route]]) -> list[Rule]:
    """Return the rules of one host, in the order in which they are tried.

    A route must be tried after all routes of its path or a longer one, unless they have the same outcome. Each route
    gets the lowest level that allows this, and the routes of a level with the same outcome share one rule. So there
    are as many rules as there are outcomes, and more only where different ones are nested.

    Args:
        value: what the map holds for keys of this host.
        places: for each path of the host its routes, the most specific first.
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
    """Return the outcome of a route. The condition that the path is equal is expressed by the method."""
    exact = Condition("path", "str", (route.path,))
    others = tuple(condition for condition in route.conditions if condition != exact)
    return _Outcome("str" if exact in route.conditions else "beg", others, route.backend, route.service)


def _rule(value: str, outcome: _Outcome, paths: list[str]) -> Rule:
    kept = shortest(paths) if outcome.method == "beg" else sorted(paths)
    covers = () if outcome.method == "beg" and kept == ["/"] else (Condition("path", outcome.method, tuple(kept)),)
    return Rule(value, (*covers, *outcome.conditions), outcome.backend, outcome.service)
