"""How likely it is that an overlap is a mistake."""

from __future__ import annotations

import re

from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import ANY, Route

WARNING, INFORMATION = "warning", "information"

_LONGEST = 1000  # characters of an expression that is looked into
_WELL_KNOWN = "/.well-known"
# Texts that nearly every User-Agent has, and headers that nearly every client sends alike, or that HAProxy sets itself.
_AGENTS = ("mozilla/5.0 (", "applewebkit/537.36 (khtml, like gecko)")
_HEADERS = {"host", "connection", "accept", "accept-encoding", "upgrade-insecure-requests", "x-forwarded-proto"}


def level_of(route: Route, other: Route, *, same_owner: bool, ports: frozenset[str]) -> tuple[str, str]:
    """Return the level of an overlap, and the reason.

    Args:
        route: the route that takes requests.
        other: the route that would get them without it.
        same_owner: whether both services are of one stack.
        ports: the ports for traffic.
    """
    if (route.host, route.path) == (other.host, other.path):
        for condition in set(route.conditions) - set(other.conditions):
            if _holds_nearly_always(condition, other, ports):
                return WARNING, f"its condition holds for nearly every request: {condition}"
    why = _precedence(route, other)
    if same_owner:
        return INFORMATION, f"{why}, and both are of one stack"
    takes_any = not other.host and other.path == "/" and not other.conditions
    gives_way = (takes_any and (route.host or route.path != "/")) or (route.host and other.stage == ANY)
    if gives_way and not route.path.startswith(_WELL_KNOWN):
        return INFORMATION, f"{why}, and what takes requests for any host gives way"
    return WARNING, f"{why}, and they are of different stacks"


def _precedence(route: Route, other: Route) -> str:
    """Return what makes the first route more specific."""
    if route.stage != other.stage or route.host != other.host:
        return "its host is more specific"
    return "its path is longer" if route.path != other.path else "it has more conditions"


def _holds_nearly_always(condition: Condition, other: Route, ports: frozenset[str]) -> bool:
    """Return whether a condition holds for nearly all requests of the other route."""
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
    """Return whether some alternative of a regular expression contains no letter or digit.

    An expression that is too long to be looked into counts as broad.
    """
    if len(expression) > _LONGEST:
        return True
    bare = expression
    for pattern in (
        r"\(\?<?[!=](?:\\.|[^\\()])*\)",  # what comes before or after
        r"\\[a-z]",  # classes
        r"\[\^?\]?(?:\\.|[^\]\\])*\]",
        r"(?:\\?.)(?:[?*]|\{0?,[0-9]*\})",  # what is optional
        r"\{[0-9,]*\}",
        r"\(\?[a-z:]*",
    ):
        bare = re.sub(pattern, "", bare)
    return any(not re.search(r"[a-z0-9]", alternative) for alternative in bare.split("|"))
