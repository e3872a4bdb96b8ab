"""The work that a pattern can be for HAProxy's engine.

Two ways through the automaton for the same text are work done twice. Inside a loop that takes exponential time, and the
pattern is refused; loop after loop takes quadratic time, which is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from flowproxy.text.patterns.automaton import Automaton, automaton_of
from flowproxy.text.patterns.graphs import components
from flowproxy.text.patterns.limits import LONGEST_PATTERN, LONGEST_QUADRATIC, LONGEST_TEXT, MOST_STEPS
from flowproxy.text.patterns.syntax import parse

_STACK = 1024  # rounds of a repeated group that PCRE's stack of 32 KB has place for; each group takes its share
_GROUP_STEPS = 4  # a round of a repeated group takes longer than a repeated character
_MOST_PAIRS = 5_000
_MOST_AMBIGUITY = 64
_MOST_LOOPS = 20
_LEAST_LIMIT = 20_000
_CALL = 2  # characters that could be compared while a comparison begins

_Pair: TypeAlias = tuple[int, int]
_Pairs: TypeAlias = dict[_Pair, list[_Pair]]


class Cost(NamedTuple):
    """The cost of a pattern for one text.

    `steps` is an upper bound of the characters that are compared for a text of the length `reach`; longer texts match
    nothing.
    """

    steps: int
    reach: int


@lru_cache(maxsize=4096)
def cost_of(pattern: str, longest: int = LONGEST_TEXT) -> Cost:
    """Return the cost of a pattern for one text of at most `longest` characters.

    Raises ValueError, with the reason, for a pattern that is not accepted.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"{pattern[:40]!r}… has {len(pattern)} characters; a pattern has at most {LONGEST_PATTERN}")
    tree = parse(pattern)
    automaton = automaton_of(pattern, tree.root)
    if automaton.repeats_groups:
        longest = min(longest, _STACK // (1 + tree.groups))
    return _cost(automaton, longest)


def reach_of(patterns: Iterable[str], longest: int = LONGEST_TEXT) -> int:
    """Return the length of the longest text that all of these patterns together are compared with."""
    return min([longest, *(cost_of(pattern, longest).reach for pattern in patterns)])


def steps_of(patterns: Iterable[str], longest: int = LONGEST_TEXT) -> int:
    """Return an upper bound of the characters that are compared for one text with all of these patterns."""
    return sum(cost_of(pattern, longest).steps for pattern in patterns)


def search_of(values: Iterable[str], longest: int = LONGEST_TEXT) -> Cost:
    """Return the cost of looking for these values at every character of one text of at most `longest` characters."""
    work = sum(_CALL + len(value) for value in values)
    reach = min(longest, max(LONGEST_QUADRATIC, MOST_STEPS // 2 // max(work, 1)))
    return Cost(work * reach, reach)


def limited(pattern: str) -> str:
    """Return the pattern with a limit to PCRE's work, far above what the texts it is compared with can take."""
    return f"(*LIMIT_MATCH={max(_LEAST_LIMIT, 4 * cost_of(pattern).steps)}){pattern}"


def _cost(automaton: Automaton, longest: int) -> Cost:
    loops = _loops(automaton)
    if len(loops) > _MOST_LOOPS:
        raise automaton.refusal(
            f"has {len(loops)} unbounded repeats, those inside counted repeats included; use at most {_MOST_LOOPS}"
        )
    pairs = _pairs(automaton)
    _refuse_ambiguous_loops(automaton, pairs)
    links = _links(automaton, loops)
    reach = min(longest, LONGEST_QUADRATIC) if links else longest
    length = reach if loops else min(reach, len(automaton.characters))
    steps = _width(pairs) * length + sum(map(len, links.values())) * reach * reach // 2
    weight = _GROUP_STEPS if automaton.repeats_groups else 1
    return Cost(steps * _ambiguity(automaton, pairs, loops) * weight, reach)


def _loops(automaton: Automaton) -> list[frozenset[int]]:
    """Return the sets of positions that lead back to themselves."""
    graph = {position: sorted(after) for position, after in enumerate(automaton.follow)}
    return [loop for loop in components(graph) if len(loop) > 1 or automaton.follow[min(loop)] >= loop]


# Ambiguity: positions that one text can lead to both


def _pairs(automaton: Automaton) -> _Pairs:
    """Return the pairs of positions that one text can lead to, each with those that follow."""
    first = sorted(automaton.first)
    waiting = deque(_meeting(automaton, first, first))
    pairs: _Pairs = {}
    work = 0
    while waiting:
        pair = waiting.popleft()
        if pair in pairs:
            continue
        pairs[pair] = list(_meeting(automaton, automaton.follow[pair[0]], automaton.follow[pair[1]]))
        work += len(pairs[pair])
        if work > _MOST_PAIRS:
            raise automaton.refusal("can match one text in too many ways; write it shorter, or with fewer alternatives")
        waiting.extend(pairs[pair])
    return pairs


def _meeting(automaton: Automaton, some: Iterable[int], others: Iterable[int]) -> set[_Pair]:
    """Return the pairs of positions that take some character in common."""
    return {
        (min(one, other), max(one, other))
        for one in some
        for other in others
        if automaton.characters[one] & automaton.characters[other]
    }


def _refuse_ambiguous_loops(automaton: Automaton, pairs: _Pairs) -> None:
    """Raise ValueError if one text leads from a position to itself in two ways: work doubles with each round."""
    for component in components(pairs):
        if len({one == other for one, other in component}) == 2:
            raise automaton.refusal(
                "has a repeat whose inside can match the same text in more than one way, which takes exponential"
                " time; make its alternatives begin with different characters"
            )


def _width(pairs: Iterable[_Pair]) -> int:
    """Return at how many positions one text can be at the same time, at most: as many are paired with each of them."""
    beside: dict[int, set[int]] = {}
    for one, other in pairs:
        beside.setdefault(one, set()).add(other)
        beside.setdefault(other, set()).add(one)
    sizes = sorted(map(len, beside.values()), reverse=True)
    return max((number for number, size in enumerate(sizes, 1) if size >= number), default=1)


def _ambiguity(automaton: Automaton, pairs: _Pairs, loops: Iterable[frozenset[int]]) -> int:
    """Return in how many ways one text leads to one position, at most, not counting loops after loops."""
    looping = frozenset().union(*loops)
    before: dict[int, set[int]] = {}
    for (one, other), following in pairs.items():
        if one == other:
            continue
        for target, same in following:
            if target == same:
                before.setdefault(target, set()).update({one, other} - (looping if target in looping else set()))
    ways = 1
    for positions in before.values():
        ways *= max(1, len(positions))
        if ways > _MOST_AMBIGUITY:
            raise automaton.refusal(
                f"can match one text in more than {_MOST_AMBIGUITY} ways; leave out optional parts or alternatives"
                " that match the same"
            )
    return ways


# Loops that take over each other's text


def _links(automaton: Automaton, loops: list[frozenset[int]]) -> dict[int, set[int]]:
    """Return for each loop those that can take over its text at any character: each makes the time quadratic.

    Raises ValueError when there are three in a row.
    """
    texts = [_characters_of(automaton, loop) for loop in loops]
    links: dict[int, set[int]] = {}
    for number, loop in enumerate(loops):
        for other, target in enumerate(loops):
            if number != other and _leads(automaton, loop, target, texts[number] & texts[other]):
                links.setdefault(number, set()).add(other)
    if any(second in links for following in links.values() for second in following):
        raise automaton.refusal(
            "has more than two unbounded repeats in a row that match the same characters, which takes too long;"
            " write [^/]* for .*, begin with ^, or repeat less"
        )
    return links


def _characters_of(automaton: Automaton, loop: Iterable[int]) -> int:
    characters = 0
    for position in loop:
        characters |= automaton.characters[position]
    return characters


def _leads(automaton: Automaton, loop: frozenset[int], target: frozenset[int], common: int) -> bool:
    """Return whether a text of characters that both loops match leads from one to the other."""
    seen: set[int] = set()
    waiting = {after for position in loop for after in automaton.follow[position]} - loop
    while waiting:
        position = waiting.pop()
        if position not in seen and automaton.characters[position] & common:
            seen.add(position)
            waiting |= automaton.follow[position] - loop
    return not seen.isdisjoint(target)
