"""The tree of a pattern: the part of PCRE's syntax whose work can be counted."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from flowproxy.text.patterns.characters import ANY, in_any_case, read_brackets, read_escape, set_of
from flowproxy.text.patterns.limits import MOST_POSITIONS
from flowproxy.text.patterns.source import Source

_DEEPEST = 20  # groups inside each other


class Characters(NamedTuple):
    """One character out of a set, as bits."""

    bits: int


class Sequence(NamedTuple):
    """Parts that follow each other."""

    parts: tuple[Node, ...]


class Choice(NamedTuple):
    """Alternatives."""

    branches: tuple[Node, ...]


class Repeat(NamedTuple):
    """A part from `least` to `most` times; None for any number of times."""

    part: Node
    least: int
    most: int | None


class Look(NamedTuple):
    """A look ahead: work that reads no characters."""

    part: Node


class Assertion(NamedTuple):
    """The start or the end of the text, or a border of words."""

    is_start: bool


Node: TypeAlias = Characters | Sequence | Choice | Repeat | Look | Assertion
EMPTY = Sequence(())
ANYTHING = Repeat(Characters(ANY), 0, None)

_GROUP = re.compile(r"\?(?::|>|\||(?P<look>[=!])|P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*'|(?P<flags>[ims-]+)(?P<open>:)?)")
_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class Tree(NamedTuple):
    """A pattern that has been read, with the number of its groups."""

    root: Node
    groups: int


def parse(pattern: str) -> Tree:
    """Read a pattern. Raises ValueError, with the reason, for syntax whose work cannot be counted."""
    parser = _Parser(pattern)
    root = parser.parse()
    return Tree(root, parser.groups)


class _Parser:
    """Reads a pattern by recursive descent, and counts its `groups`."""

    def __init__(self, pattern: str) -> None:
        self._source = Source(pattern)
        self._depth = 0
        self.groups = 0

    def parse(self) -> Node:
        if self._source.begins_with("(*"):
            raise self._source.refusal("may not begin with (*…), which steers the engine")
        root = self._choice()
        if not self._source.is_at_end:
            raise self._source.refusal("has a ) without its (")
        return root

    def _choice(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._source.refusal(f"has more than {_DEEPEST} groups inside each other")
        branches = [self._sequence()]
        while self._source.next_is("|"):
            branches.append(self._sequence())
        self._depth -= 1
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while not self._source.is_at_end and self._source.peek() not in "|)":
            if self._source.next_is("$"):
                if not (parts and _takes_the_rest(parts[-1])):
                    parts.append(Assertion(is_start=False))
                continue
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, part: Node) -> Node:
        while count := self._count():
            if not self._source.next_is("?"):  # lazy, or possessive
                self._source.next_is("+")
            part = Repeat(part, *count)
        return part

    def _count(self) -> tuple[int, int | None] | None:
        """Read how often the part before is repeated; None if it is not."""
        count = self._source.take(_COUNT)
        if count is None:
            return next((times for sign, times in _REPEATS.items() if self._source.next_is(sign)), None)
        least = int(count[1])
        most: int | None = least
        if count[2]:
            most = int(count[3]) if count[3] else None
        if max(least, most or 0) > MOST_POSITIONS:
            raise self._source.refusal(f"repeats something more than {MOST_POSITIONS} times")
        if most is not None and most < least:
            raise self._source.refusal(f"has the repeat {count[0]}, whose numbers are out of order")
        return least, most

    def _atom(self) -> Node:
        character = self._source.read()
        match character:
            case "(":
                return self._group()
            case "[":
                return Characters(in_any_case(read_brackets(self._source)))
            case "\\":
                return self._escape()
            case ".":
                return Characters(ANY)
            case "^":
                return Assertion(is_start=True)
            case "*" | "+" | "?":
                raise self._source.refusal(f"has a {character} with nothing before it to repeat")
        return Characters(in_any_case(set_of([ord(character)])))

    def _group(self) -> Node:
        self.groups += 1
        if self._source.begins_with("*"):
            raise self._source.refusal("has (*…), which steers the engine")
        is_look, is_capturing = False, True
        if self._source.begins_with("?"):
            kind = self._kind_of_group()
            if kind["flags"] and not kind["open"]:
                if not self._source.next_is(")"):
                    raise self._source.refusal(f"has the unknown option (?{kind['flags']}")
                return EMPTY
            is_look, is_capturing = bool(kind["look"]), not kind[0].startswith(("?:", "?|", "?>", "?="))
        part = self._choice()
        if not self._source.next_is(")"):
            raise self._source.refusal("has a ( without its )")
        if is_look:
            return Look(part)
        return Sequence((part,)) if is_capturing and isinstance(part, Characters) else part

    def _kind_of_group(self) -> re.Match[str]:
        kind = self._source.take(_GROUP)
        if kind is None:
            raise self._source.refusal(
                "has a group whose work cannot be bounded (a recursion, a condition, a look-behind or extended"
                " syntax); use (…), (?:…), (?i), (?=…) or (?!…)"
            )
        return kind

    def _escape(self) -> Node:
        if self._source.is_at_end:
            raise self._source.refusal("ends with a single backslash")
        character = self._source.peek()
        if character in "AGbBzZK":
            self._source.skip()
            return EMPTY if character == "K" else Assertion(is_start=character in "AG")
        return Characters(in_any_case(read_escape(self._source)))


def _takes_the_rest(node: Node) -> bool:
    """Return whether `$` behind a part always holds."""
    return isinstance(node, Repeat) and node.part == Characters(ANY) and node.most is None


def is_anchored(node: Node) -> bool:
    """Return whether a match can begin only at the start of the text, or begins with `.*`, which is as good."""
    match node:
        case Assertion(is_start):
            return is_start
        case Choice(branches):
            return all(map(is_anchored, branches))
        case Sequence(parts):
            return next((is_anchored(part) for part in parts if part != EMPTY), False)
        case Repeat():
            return node == ANYTHING
    return False
