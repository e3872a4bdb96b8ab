"""Regular expressions of services: what HAProxy's engine, which backtracks, may be made to do for one request.

A pattern is read into an automaton of its characters. Two ways through it for the same text are work done twice: inside
a loop that is exponential and refused; loop after loop makes it quadratic, which is counted. `steps` is an upper bound
of the characters that are compared for a text of the length `reach`, and texts longer than that match nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias, TypeVar

import re2

T = TypeVar("T")

LONGEST_TEXT = 4096  # characters of a path; a longer one matches no pattern
LONGEST_HOST = 253
LONGEST_AGENT = 1024
MOST_STEPS = 2_500_000  # for one request, over all patterns of a service, or of all services of a host
MOST_STEPS_ANY_HOST = 300_000  # of a service whose patterns concern requests to any host
MOST_PATTERNS, MOST_PATTERNS_ANY_HOST, MOST_REWRITES = 100, 20, 30
LONGEST_PATTERN, LONGEST_PATTERNS = 500, 10_000  # characters, of one and of all of a service

SEARCHING = ("sub", "dir", "dom")  # HAProxy's methods that look for a value at every character of a text
_LONGEST_QUADRATIC = 1024
_STACK = 1024  # rounds of a repeated group that PCRE's stack of 32 KB has place for; each group takes its share
_GROUP_STEPS = 4  # a round of a repeated group takes longer than a repeated character
_MOST_POSITIONS = 300
_MOST_PAIRS = 5_000
_MOST_AMBIGUITY = 64
_MOST_LOOPS = 20
_LEAST_LIMIT = 20_000
_CALL = 2  # characters that could be compared while a comparison begins
_ANY = (1 << 256) - 1


class Cost(NamedTuple):
    """What one pattern may cost. `reach` is the length of the longest text that it is compared with."""

    steps: int
    reach: int


@lru_cache(maxsize=4096)
def cost_of(pattern: str, longest: int = LONGEST_TEXT) -> Cost:
    """Return what a pattern may cost for one text of at most `longest` characters.

    Raise ValueError, with the reason, for a pattern that is not taken.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"{pattern[:40]!r}… has {len(pattern)} characters; a pattern has at most {LONGEST_PATTERN}")
    parser = _Parser(pattern)
    automaton = _Automaton(pattern, parser.parse())
    return automaton.cost(min(longest, _STACK // (1 + parser.groups)) if automaton.repeats_groups else longest)


def reach_of(patterns: Iterable[str], longest: int = LONGEST_TEXT) -> int:
    """Return the length of the longest text that these patterns, taken together, are compared with."""
    return min([longest, *(cost_of(pattern, longest).reach for pattern in patterns)])


def steps_of(patterns: Iterable[str], longest: int = LONGEST_TEXT) -> int:
    """Return an upper bound of the characters that are compared for one text with all of these patterns."""
    return sum(cost_of(pattern, longest).steps for pattern in patterns)


def search_of(values: Iterable[str], longest: int = LONGEST_TEXT) -> Cost:
    """Return what it costs to look for these values at every character of one text of at most `longest` characters."""
    work = sum(_CALL + len(value) for value in values)
    reach = min(longest, max(_LONGEST_QUADRATIC, MOST_STEPS // 2 // max(work, 1)))
    return Cost(work * reach, reach)


def limited(pattern: str) -> str:
    """Return the pattern with a limit to PCRE's work, which no text that it is compared with comes near."""
    return f"(*LIMIT_MATCH={max(_LEAST_LIMIT, 4 * cost_of(pattern).steps)}){pattern}"


def is_found(pattern: str, text: str, *, ignoring_case: bool = False) -> bool | None:
    """Return whether a pattern occurs in a text, in linear time; None when that cannot be evaluated here."""
    expression = _expression(pattern, ignoring_case)
    return None if expression is None else expression.search(text.encode(errors="replace")) is not None


@lru_cache(maxsize=4096)
def _expression(pattern: str, ignoring_case: bool) -> re2._Regexp | None:
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = not ignoring_case
    try:
        return re2.compile(pattern.encode(errors="replace"), options)
    except re2.error:
        return None


# The tree of a pattern


class _Set(NamedTuple):
    """One character out of a set of bytes, as bits."""

    mask: int


class _Sequence(NamedTuple):
    parts: tuple[_Node, ...]


class _Choice(NamedTuple):
    branches: tuple[_Node, ...]


class _Repeat(NamedTuple):
    part: _Node
    least: int
    most: int | None


class _Look(NamedTuple):
    """A look ahead: work that leads nowhere."""

    part: _Node


class _Assertion(NamedTuple):
    is_start: bool


_Node: TypeAlias = _Set | _Sequence | _Choice | _Repeat | _Look | _Assertion
_EMPTY = _Sequence(())
_ANYTHING = _Repeat(_Set(_ANY), 0, None)


def _takes_the_rest(node: _Node) -> bool:
    """Whether $ behind it always holds."""
    return isinstance(node, _Repeat) and node.part == _Set(_ANY) and node.most is None


def _mask(characters: Iterable[int]) -> int:
    mask = 0
    for code in characters:
        mask |= 1 << code
    return mask


_CAPITALS = _mask(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TO_SMALL = 32  # from a capital letter to its small one, in bits


def _in_any_case(mask: int) -> _Set:
    """The case of letters is always ignored here: what is counted is an upper bound."""
    return _Set(mask | (mask & _CAPITALS) << _TO_SMALL | (mask & _CAPITALS << _TO_SMALL) >> _TO_SMALL)


def _mask_of(expression: str) -> int:
    return _mask(code for code in range(256) if re.fullmatch(expression, chr(code), re.ASCII))


_CLASSES = {name: _mask_of(f"\\{name}") for name in "dDwWsS"}
_CLASSES |= {"h": _mask(b" \t\xa0"), "v": _mask(b"\n\x0b\x0c\r\x85"), "N": _ANY, "R": _mask(b"\n\x0b\x0c\r\x85")}
_CLASSES |= {"H": _ANY & ~_CLASSES["h"], "V": _ANY & ~_CLASSES["v"]}
_CONTROL = {"t": 9, "n": 10, "f": 12, "r": 13, "a": 7, "e": 27}
_POSIX = {
    name: _mask_of(expression)
    for name, expression in {
        "alnum": "[a-zA-Z0-9]",
        "alpha": "[a-zA-Z]",
        "blank": "[ \t]",
        "cntrl": r"[\x00-\x1f\x7f]",
        "digit": "[0-9]",
        "graph": "[!-~]",
        "lower": "[a-z]",
        "print": "[ -~]",
        "punct": r"[!-/:-@\[-`{-~]",
        "space": r"\s",
        "upper": "[A-Z]",
        "word": r"\w",
        "xdigit": "[0-9a-fA-F]",
    }.items()
}
_GROUP = re.compile(r"\?(?::|>|\||(?P<look>[=!])|P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*'|(?P<flags>[ims-]+)(?P<open>:)?)")
_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,2})\}|([0-9A-Fa-f]{0,2}))")


class _Parser:
    """Reads the part of PCRE's syntax whose work can be counted; refuses the rest."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._text = pattern.encode(errors="replace").decode("latin-1")  # HAProxy compares bytes
        self._at = 0
        self._depth = 0
        self.groups = 0

    def parse(self) -> _Node:
        if self._text.startswith("(*"):
            raise self._refusal("may not begin with (*…), which steers the engine")
        tree = self._choice()
        if self._at < len(self._text):
            raise self._refusal("has a ) without its (")
        return tree

    def _refusal(self, reason: str) -> ValueError:
        return ValueError(f"{self._pattern!r} {reason}")

    def _next_is(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _choice(self) -> _Node:
        self._depth += 1
        if self._depth > 20:
            raise self._refusal("has more than 20 groups inside each other")
        branches = [self._sequence()]
        while self._next_is("|"):
            branches.append(self._sequence())
        self._depth -= 1
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._next_is("$"):
                if not (parts and _takes_the_rest(parts[-1])):
                    parts.append(_Assertion(is_start=False))
                continue
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _repeated(self, part: _Node) -> _Node:
        while True:
            count = _COUNT.match(self._text, self._at)
            if count:
                self._at = count.end()
                least = int(count[1])
                most = least if not count[2] else int(count[3]) if count[3] else None
                if max(least, most or 0) > _MOST_POSITIONS:
                    raise self._refusal(f"repeats something more than {_MOST_POSITIONS} times")
                if most is not None and most < least:
                    raise self._refusal(f"has the repeat {count[0]}, whose numbers are out of order")
            elif self._next_is("*"):
                least, most = 0, None
            elif self._next_is("+"):
                least, most = 1, None
            elif self._next_is("?"):
                least, most = 0, 1
            else:
                return part
            if not self._next_is("?"):  # lazy, or possessive
                self._next_is("+")
            part = _Repeat(part, least, most)

    def _atom(self) -> _Node:
        character = self._text[self._at]
        self._at += 1
        match character:
            case "(":
                return self._group()
            case "[":
                return _in_any_case(self._set())
            case "\\":
                return self._escape()
            case ".":
                return _Set(_ANY)
            case "^":
                return _Assertion(is_start=True)
            case "*" | "+" | "?":
                raise self._refusal(f"has a {character} with nothing before it to repeat")
        return _in_any_case(_mask([ord(character)]))

    def _group(self) -> _Node:
        self.groups += 1
        looking, capturing = False, True
        if self._text.startswith("*", self._at):
            raise self._refusal("has (*…), which steers the engine")
        if self._text.startswith("?", self._at):
            kind = _GROUP.match(self._text, self._at)
            if kind is None:
                raise self._refusal(
                    "has a group whose work cannot be bounded (a recursion, a condition, a look-behind or extended"
                    " syntax); use (…), (?:…), (?i), (?=…) or (?!…)"
                )
            self._at = kind.end()
            if kind["flags"] and not kind["open"]:
                if not self._next_is(")"):
                    raise self._refusal(f"has the unknown option (?{kind['flags']}")
                return _EMPTY
            looking, capturing = bool(kind["look"]), not kind[0].startswith(("?:", "?|", "?>", "?="))
        part = self._choice()
        if not self._next_is(")"):
            raise self._refusal("has a ( without its )")
        if looking:
            return _Look(part)
        return _Sequence((part,)) if capturing and isinstance(part, _Set) else part

    def _escape(self) -> _Node:
        if self._at >= len(self._text):
            raise self._refusal("ends with a single backslash")
        character = self._text[self._at]
        if character in "AGbBzZK":
            self._at += 1
            return _EMPTY if character == "K" else _Assertion(is_start=character in "AG")
        return _in_any_case(self._escaped_mask())

    def _escaped_mask(self) -> int:
        """Of the escape at this place, the backslash apart."""
        character = self._text[self._at]
        if character in _CLASSES:
            self._at += 1
            return _CLASSES[character]
        if character in _CONTROL:
            self._at += 1
            return _mask([_CONTROL[character]])
        number = _HEX.match(self._text, self._at)
        if number:
            self._at = number.end()
            return _mask([int(number[1] or number[2] or "0", 16)])
        if character.isascii() and character.isalnum():
            what = "a back-reference" if character in "123456789gk" else f"\\{character}"
            raise self._refusal(f"has {what}, which cannot be taken because its work cannot be bounded")
        self._at += 1
        return _mask([ord(character)])

    def _set(self) -> int:
        negated = self._next_is("^")
        mask, first = 0, True
        while first or not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                raise self._refusal("has a [ without its ]")
            first = False
            posix = re.compile(r"\[:(\^?)(\w+):\]").match(self._text, self._at)
            if posix and posix[2] in _POSIX:
                self._at = posix.end()
                mask |= _ANY & ~_POSIX[posix[2]] if posix[1] else _POSIX[posix[2]]
                continue
            low = self._member()
            is_range = low.bit_count() == 1 and self._next_is_range()
            high = self._member() if is_range else low
            mask |= low | high | _mask(range(low.bit_length() - 1, high.bit_length() if is_range else 0))
        self._at += 1
        return _ANY & ~mask if negated else mask

    def _next_is_range(self) -> bool:
        return not self._text.startswith("-]", self._at) and self._next_is("-")

    def _member(self) -> int:
        if self._at >= len(self._text):
            raise self._refusal("has a [ without its ]")
        character = self._text[self._at]
        self._at += 1
        if character != "\\":
            return _mask([ord(character)])
        if self._at >= len(self._text):
            raise self._refusal("has a [ without its ]")
        if self._next_is("b"):
            return _mask([8])
        return self._escaped_mask()


# The automaton


class _Part(NamedTuple):
    """Of the positions of a part of a pattern, those that a match of it can begin and end with."""

    is_nullable: bool
    first: frozenset[int]
    last: frozenset[int]


_NOTHING = _Part(True, frozenset(), frozenset())


class _Automaton:
    """The positions of a pattern (Glushkov's automaton): each takes one character out of a set, then one of those that
    follow takes the next. A position of its own stands for the search, which begins at every character of the text."""

    def __init__(self, pattern: str, tree: _Node) -> None:
        self._pattern = pattern
        self._masks: list[int] = []
        self._follow: list[set[int]] = []
        self._always_ends = True  # what has reached the end of the pattern matches
        self.repeats_groups = False
        whole = self._part(tree)
        first = whole.first
        if not _is_anchored(tree):
            search = self._position(_ANY)
            self._follow[search] = {search, *first}
            first |= {search}
        self._first = first
        if self._always_ends:
            self._leave_out_what_cannot_fail(whole.last)

    def cost(self, longest: int) -> Cost:
        """Return an upper bound for texts up to a length. Raise ValueError when that is too high to use."""
        loops = self._loops()
        if len(loops) > _MOST_LOOPS:
            raise self._refusal(
                f"has {len(loops)} unbounded repeats, those inside counted repeats included; use at most {_MOST_LOOPS}"
            )
        pairs = self._pairs()
        self._refuse_ambiguous_loops(pairs)
        links = self._links(loops)
        reach = min(longest, _LONGEST_QUADRATIC) if links else longest
        length = reach if loops else min(reach, len(self._masks))
        steps = self._width(pairs) * length + sum(map(len, links.values())) * reach * reach // 2
        return Cost(steps * self._ambiguity(pairs, loops) * (_GROUP_STEPS if self.repeats_groups else 1), reach)

    def _refusal(self, reason: str) -> ValueError:
        return ValueError(f"{self._pattern!r} {reason}")

    # From the tree

    def _position(self, mask: int) -> int:
        if len(self._masks) >= _MOST_POSITIONS:
            raise self._refusal(f"stands for more than {_MOST_POSITIONS} characters, repeats counted")
        self._masks.append(mask)
        self._follow.append(set())
        return len(self._masks) - 1

    def _part(self, node: _Node) -> _Part:
        match node:
            case _Set(mask):
                position = frozenset({self._position(mask)})
                return _Part(False, position, position)
            case _Sequence(parts):
                return self._in_sequence(map(self._part, parts))
            case _Choice(branches):
                found = [self._part(branch) for branch in branches]
                first = frozenset().union(*(part.first for part in found))
                return _Part(
                    any(p.is_nullable for p in found), first, frozenset().union(*(part.last for part in found))
                )
            case _Look(inner):
                self._always_ends = False
                return _Part(True, self._part(inner).first, frozenset())
            case _Assertion(is_start):
                self._always_ends = self._always_ends and is_start
                return _NOTHING
            case _Repeat(part, least, most):
                return self._repeat(part, least, most)

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

    def _repeat(self, node: _Node, least: int, most: int | None) -> _Part:
        """`x{2,4}` is `xx(x(x)?)?`, `x{2,}` is `xx+`, `x*` is `(x+)?`."""
        if most == 0:
            return _NOTHING
        if most is not None:
            self.repeats_groups = self.repeats_groups or (most > 1 and not isinstance(node, _Set))
            required = [self._part(node) for _ in range(least)]
            optional = _NOTHING
            for _ in range(most - least):
                optional = self._in_sequence([self._part(node), optional])._replace(is_nullable=True)
            return self._in_sequence([*required, optional])
        self.repeats_groups = self.repeats_groups or not isinstance(node, _Set)
        required = [self._part(node) for _ in range(max(least, 1))]
        again = required[-1]
        if any(after in self._follow[before] for before in again.last for after in again.first):
            raise self._refusal(
                "has a repeat inside a repeat that can match the same text in more than one way, which takes"
                " exponential time; repeat once, as in a+ for (a+)+"
            )
        self._connect(again.last, again.first)
        whole = self._in_sequence(required)
        return whole._replace(is_nullable=whole.is_nullable or least == 0)

    def _connect(self, before: Iterable[int], after: Iterable[int]) -> None:
        for position in before:
            self._follow[position].update(after)

    def _leave_out_what_cannot_fail(self, last: frozenset[int]) -> None:
        """From where every continuation matches, no other way is ever tried."""
        failing = set(range(len(self._masks))) - last
        while more := {p for p in last - failing if not self._follow[p].isdisjoint(failing)}:
            failing |= more
        for position in last - failing:
            self._follow[position] = set()

    # What it costs

    def _loops(self) -> list[frozenset[int]]:
        """The sets of positions that can be come back to."""
        graph = {position: sorted(after) for position, after in enumerate(self._follow)}
        return [loop for loop in _components(graph) if len(loop) > 1 or self._follow[min(loop)] >= loop]

    def _pairs(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """Positions that one text can lead to both, each pair with those that follow."""
        first = sorted(self._first)
        waiting = deque(self._meeting(first, first))
        pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        work = 0
        while waiting:
            pair = waiting.popleft()
            if pair in pairs:
                continue
            pairs[pair] = list(self._meeting(self._follow[pair[0]], self._follow[pair[1]]))
            work += len(pairs[pair])
            if work > _MOST_PAIRS:
                raise self._refusal("can match one text in too many ways; write it shorter, or with fewer alternatives")
            waiting.extend(pairs[pair])
        return pairs

    def _meeting(self, some: Iterable[int], others: Iterable[int]) -> set[tuple[int, int]]:
        return {
            (min(one, other), max(one, other))
            for one in some
            for other in others
            if self._masks[one] & self._masks[other]
        }

    def _refuse_ambiguous_loops(self, pairs: dict[tuple[int, int], list[tuple[int, int]]]) -> None:
        """Raise ValueError when one text leads from a position to itself in two ways: work doubles with each round."""
        for component in _components(pairs):
            if len({one == other for one, other in component}) == 2:
                raise self._refusal(
                    "has a repeat whose inside can match the same text in more than one way, which takes exponential"
                    " time; make its alternatives begin with different characters"
                )

    def _width(self, pairs: Iterable[tuple[int, int]]) -> int:
        """At how many positions one text can be at the same time, at most: as many are beside each of them."""
        beside: dict[int, set[int]] = {}
        for one, other in pairs:
            beside.setdefault(one, set()).add(other)
            beside.setdefault(other, set()).add(one)
        sizes = sorted(map(len, beside.values()), reverse=True)
        return max((number for number, size in enumerate(sizes, 1) if size >= number), default=1)

    def _ambiguity(self, pairs: dict[tuple[int, int], list[tuple[int, int]]], loops: Iterable[frozenset[int]]) -> int:
        """In how many ways one text leads to one position, at most, loops after loops apart."""
        looping = frozenset().union(*loops)
        before: dict[int, set[int]] = {}
        for (one, other), following in pairs.items():
            for target, same in following if one != other else ():
                if target == same:
                    before.setdefault(target, set()).update({one, other} - (looping if target in looping else set()))
        ways = 1
        for positions in before.values():
            ways *= max(1, len(positions))
            if ways > _MOST_AMBIGUITY:
                raise self._refusal(
                    f"can match one text in more than {_MOST_AMBIGUITY} ways; leave out optional parts or alternatives"
                    " that match the same"
                )
        return ways

    def _links(self, loops: list[frozenset[int]]) -> dict[int, set[int]]:
        """For each loop those that can take over its text at any character: each makes the time quadratic.

        Raise ValueError when there are three in a row.
        """
        texts = [self._text_of(loop) for loop in loops]
        links: dict[int, set[int]] = {}
        for number, loop in enumerate(loops):
            for other, target in enumerate(loops):
                if number != other and self._leads(loop, target, texts[number] & texts[other]):
                    links.setdefault(number, set()).add(other)
        if any(second in links for following in links.values() for second in following):
            raise self._refusal(
                "has more than two unbounded repeats in a row that match the same characters, which takes too long;"
                " write [^/]* for .*, begin with ^, or repeat less"
            )
        return links

    def _text_of(self, loop: Iterable[int]) -> int:
        mask = 0
        for position in loop:
            mask |= self._masks[position]
        return mask

    def _leads(self, loop: frozenset[int], target: frozenset[int], common: int) -> bool:
        """Whether text of characters that both loops match leads from one to the other."""
        seen: set[int] = set()
        waiting = {after for position in loop for after in self._follow[position]} - loop
        while waiting:
            position = waiting.pop()
            if position not in seen and self._masks[position] & common:
                seen.add(position)
                waiting |= self._follow[position] - loop
        return not seen.isdisjoint(target)


def _is_anchored(node: _Node) -> bool:
    """Whether a match can begin at the start of the text only; with .* in front the engine looks nowhere else."""
    match node:
        case _Assertion(is_start):
            return is_start
        case _Choice(branches):
            return all(map(_is_anchored, branches))
        case _Sequence(parts):
            return next((_is_anchored(part) for part in parts if part != _EMPTY), False)
        case _Repeat():
            return node == _ANYTHING
    return False


def _components(graph: Mapping[T, Iterable[T]]) -> list[frozenset[T]]:
    """The strongly connected components (Tarjan's algorithm, without recursion)."""
    order: dict[T, int] = {}
    lowest: dict[T, int] = {}
    open_: list[T] = []
    is_open: set[T] = set()
    found = []
    for root in graph:
        if root in order:
            continue
        walk = [(root, iter(graph[root]))]
        order[root] = lowest[root] = len(order)
        open_.append(root)
        is_open.add(root)
        while walk:
            node, following = walk[-1]
            for after in following:
                if after not in order:
                    order[after] = lowest[after] = len(order)
                    open_.append(after)
                    is_open.add(after)
                    walk.append((after, iter(graph[after])))
                    break
                if after in is_open:
                    lowest[node] = min(lowest[node], order[after])
            else:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[node])
                if lowest[node] == order[node]:
                    at = open_.index(node)
                    found.append(frozenset(open_[at:]))
                    is_open.difference_update(open_[at:])
                    del open_[at:]
    return found
