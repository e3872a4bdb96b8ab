"""The positions of a pattern (Glushkov's automaton).

Each position takes one character out of a set, then one of the positions that follow takes the next. A position of its
own stands for the search, which begins at every character of the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.text.patterns.characters import ANY
from flowproxy.text.patterns.limits import MOST_POSITIONS
from flowproxy.text.patterns.syntax import (
    Assertion,
    Characters,
    Choice,
    Look,
    Node,
    Repeat,
    Sequence,
    is_anchored,
)


class Automaton(NamedTuple):
    """The positions of a pattern, by number.

    `characters` is the set of each position, `follow` the positions after it, `first` those that a match begins with.
    `repeats_groups` says whether a group is repeated, which the engine needs its stack for.
    """

    pattern: str
    characters: list[int]
    follow: list[set[int]]
    first: frozenset[int]
    repeats_groups: bool

    def refusal(self, reason: str) -> ValueError:
        """Return the error that says why the pattern is not accepted."""
        return ValueError(f"{self.pattern!r} {reason}")


def automaton_of(pattern: str, root: Node) -> Automaton:
    """Return the automaton of a pattern whose tree has this root. Raises ValueError when it is too large."""
    builder = _Builder(pattern)
    first = builder.build(root)
    return Automaton(pattern, builder.characters, builder.follow, first, builder.repeats_groups)


class _Part(NamedTuple):
    """The positions that a match of a part can begin and end with; `is_nullable` if it can be empty."""

    is_nullable: bool
    first: frozenset[int]
    last: frozenset[int]


_NOTHING = _Part(True, frozenset(), frozenset())


class _Builder:
    """Collects the positions of a tree."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._always_ends = True  # what has reached the end of the pattern matches
        self.characters: list[int] = []
        self.follow: list[set[int]] = []
        self.repeats_groups = False

    def build(self, root: Node) -> frozenset[int]:
        """Add the positions of the whole pattern; return those that a match begins with."""
        whole = self._part(root)
        first = whole.first
        if not is_anchored(root):
            search = self._position(ANY)
            self.follow[search] = {search, *first}
            first |= {search}
        if self._always_ends:
            self._cut_what_cannot_fail(whole.last)
        return first

    def _position(self, characters: int) -> int:
        if len(self.characters) >= MOST_POSITIONS:
            raise self._refusal(f"stands for more than {MOST_POSITIONS} characters, repeats counted")
        self.characters.append(characters)
        self.follow.append(set())
        return len(self.characters) - 1

    def _refusal(self, reason: str) -> ValueError:
        return ValueError(f"{self._pattern!r} {reason}")

    def _part(self, node: Node) -> _Part:
        match node:
            case Characters(characters):
                position = frozenset({self._position(characters)})
                return _Part(False, position, position)
            case Sequence(parts):
                return self._in_sequence(map(self._part, parts))
            case Choice(branches):
                return self._alternatives([self._part(branch) for branch in branches])
            case Look(inner):
                self._always_ends = False
                return _Part(True, self._part(inner).first, frozenset())
            case Assertion(is_start):
                self._always_ends = self._always_ends and is_start
                return _NOTHING
            case Repeat(part, least, most):
                return self._unbounded(part, least) if most is None else self._counted(part, least, most)

    def _alternatives(self, parts: list[_Part]) -> _Part:
        return _Part(
            any(part.is_nullable for part in parts),
            frozenset().union(*(part.first for part in parts)),
            frozenset().union(*(part.last for part in parts)),
        )

    def _in_sequence(self, parts: Iterable[_Part]) -> _Part:
        whole = _NOTHING
        for part in parts:
            self._connect(whole.last, part.first)
            whole = _Part(
                whole.is_nullable and part.is_nullable,
                whole.first | part.first if whole.is_nullable else whole.first,
                whole.last | part.last if part.is_nullable else part.last,
            )
        return whole

    def _counted(self, node: Node, least: int, most: int) -> _Part:
        """Write a counted repeat out: `x{2,4}` is `xx(x(x)?)?`."""
        if most == 0:
            return _NOTHING
        self.repeats_groups = self.repeats_groups or (most > 1 and not isinstance(node, Characters))
        required = [self._part(node) for _ in range(least)]
        optional = _NOTHING
        for _ in range(most - least):
            optional = self._in_sequence([self._part(node), optional])._replace(is_nullable=True)
        return self._in_sequence([*required, optional])

    def _unbounded(self, node: Node, least: int) -> _Part:
        """Make a loop: `x{2,}` is `xx+`, `x*` is `(x+)?`."""
        self.repeats_groups = self.repeats_groups or not isinstance(node, Characters)
        required = [self._part(node) for _ in range(max(least, 1))]
        again = required[-1]
        if any(after in self.follow[before] for before in again.last for after in again.first):
            raise self._refusal(
                "has a repeat inside a repeat that can match the same text in more than one way, which takes"
                " exponential time; repeat once, as in a+ for (a+)+"
            )
        self._connect(again.last, again.first)
        whole = self._in_sequence(required)
        return whole._replace(is_nullable=whole.is_nullable or least == 0)

    def _connect(self, before: Iterable[int], after: Iterable[int]) -> None:
        for position in before:
            self.follow[position].update(after)

    def _cut_what_cannot_fail(self, last: frozenset[int]) -> None:
        """Cut off positions from where every continuation matches: no other way is ever tried from there."""
        failing = set(range(len(self.characters))) - last
        while more := {p for p in last - failing if not self.follow[p].isdisjoint(failing)}:
            failing |= more
        for position in last - failing:
            self.follow[position] = set()
