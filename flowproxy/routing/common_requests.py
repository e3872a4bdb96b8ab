"""Whether two routes have requests in common."""

from __future__ import annotations

from flowproxy.routing.conditions import compares
from flowproxy.routing.meaning import EXACT, WILDCARD, Route


def have_common_requests(route: Route, other: Route) -> bool:
    """Return whether some request matches both routes.

    Args:
        route: the more specific one.
        other: a route whose host and path meet those of the first.

    Returns:
        True also where that cannot be decided, as for regular expressions.
    """
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
