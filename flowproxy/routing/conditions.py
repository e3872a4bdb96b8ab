"""Requests, and the conditions that a route can put on them beside its host and path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flowproxy.text.paths import normal
from flowproxy.text.patterns.cost import reach_of, search_of, steps_of
from flowproxy.text.patterns.limits import LONGEST_AGENT, LONGEST_HOST, LONGEST_TEXT, SEARCHING
from flowproxy.text.patterns.search import is_found
from flowproxy.text.secrets import header_value

_OF_NORMAL_FORM = ("normal", "normal-outside")
_DELIMITERS = {"dir": "/?", "dom": "/?.:"}


class Request(NamedTuple):
    """The parts of a request that decide where it goes. The host is in lower case and has no port."""

    host: str
    path: str
    port: int = 80
    headers: Mapping[str, str] = {}

    @property
    def normal(self) -> str | None:
        """The normal form of the path; None if it has none."""
        return normal(self.path)


class Condition(NamedTuple):
    """A test that a map cannot make; templates/rules.cfg.j2 writes it for HAProxy.

    `kind` is header, agent, port, path, outside (a path that must not match) or host. `normal` and `normal-outside`
    are path and outside for the normal form of the path; neither holds when there is none. `how` is the name of the
    header, or HAProxy's matching method with its flags, such as `beg` or `reg -i`. A text longer than `reach` fulfils
    no condition, `outside` included.
    """

    kind: str
    how: str
    values: tuple[str, ...]

    def holds(self, request: Request) -> bool:
        """Return whether the request fulfils the condition."""
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
        """Whether the values are regular expressions."""
        return self.kind not in ("header", "agent", "port") and self.how.startswith("reg")

    @property
    def decides(self) -> bool:
        """Whether the condition makes a route more specific. One on the normal form only repeats that on the path."""
        return self.kind not in _OF_NORMAL_FORM

    @property
    def reach(self) -> int | None:
        """The length of the longest text that is searched for the values; None if the method does not search."""
        longest = {"host": LONGEST_HOST, "agent": LONGEST_AGENT}.get(self.kind, LONGEST_TEXT)
        if self.has_patterns:
            return reach_of(self.values, longest)
        return search_of(self.values, longest).reach if self.method.startswith(SEARCHING) else None

    @property
    def steps(self) -> int:
        """An upper bound of what the patterns cost for one request. The normal form of a path costs as much again."""
        longest = LONGEST_HOST if self.kind == "host" else LONGEST_TEXT
        return steps_of(self.values, longest) if self.has_patterns and self.decides else 0

    def unevaluated(self) -> Iterable[str]:
        """Return the patterns that only HAProxy can evaluate."""
        return [pattern for pattern in self.values if self.has_patterns and is_found(pattern, "") is None]

    def _reaches(self, text: str) -> bool:
        return self.reach is None or len(text) <= self.reach

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


def compares(how: str, text: str, values: Iterable[str]) -> bool:
    """Return whether a text matches one of the values (configuration manual, 7.1.3).

    Args:
        how: HAProxy's matching method str, beg, end, sub, reg, dir or dom, followed by ` -i` to ignore case.
        text: the host, path or header.
        values: what it is compared with. A pattern that only HAProxy can evaluate does not match.
    """
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
