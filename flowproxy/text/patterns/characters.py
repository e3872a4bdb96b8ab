"""Sets of characters as bits, one for each byte, and PCRE's escapes and brackets that stand for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowproxy.text.patterns.source import Source

ANY = (1 << 256) - 1


def set_of(codes: Iterable[int]) -> int:
    """Return the set of these bytes."""
    bits = 0
    for code in codes:
        bits |= 1 << code
    return bits


_CAPITALS = set_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TO_SMALL = 32  # from a capital letter to its small one, in bits


def in_any_case(characters: int) -> int:
    """Return the set with each letter in both cases. Case is always ignored: what is counted is an upper bound."""
    return characters | (characters & _CAPITALS) << _TO_SMALL | (characters & _CAPITALS << _TO_SMALL) >> _TO_SMALL


def _matching(expression: str) -> int:
    return set_of(code for code in range(256) if re.fullmatch(expression, chr(code), re.ASCII))


_CLASSES = {name: _matching(f"\\{name}") for name in "dDwWsS"}
_CLASSES |= {"h": set_of(b" \t\xa0"), "v": set_of(b"\n\x0b\x0c\r\x85"), "N": ANY, "R": set_of(b"\n\x0b\x0c\r\x85")}
_CLASSES |= {"H": ANY & ~_CLASSES["h"], "V": ANY & ~_CLASSES["v"]}
_CONTROL = {"t": 9, "n": 10, "f": 12, "r": 13, "a": 7, "e": 27}
_POSIX = {
    name: _matching(expression)
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
_POSIX_CLASS = re.compile(r"\[:(\^?)(\w+):\]")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,2})\}|([0-9A-Fa-f]{0,2}))")


def read_escape(source: Source) -> int:
    """Read an escape whose backslash has been read. Raises ValueError for one whose work cannot be bounded."""
    character = source.peek()
    if character in _CLASSES:
        source.skip()
        return _CLASSES[character]
    if character in _CONTROL:
        source.skip()
        return set_of([_CONTROL[character]])
    if number := source.take(_HEX):
        return set_of([int(number[1] or number[2] or "0", 16)])
    if character.isascii() and character.isalnum():
        what = "a back-reference" if character in "123456789gk" else f"\\{character}"
        raise source.refusal(f"has {what}, which cannot be taken because its work cannot be bounded")
    source.skip()
    return set_of([ord(character)])


def read_brackets(source: Source) -> int:
    """Read a set in brackets whose opening bracket has been read. Raises ValueError if it is not closed."""
    is_negated = source.next_is("^")
    characters, is_first = 0, True
    while is_first or not source.begins_with("]"):
        if source.is_at_end:
            raise source.refusal("has a [ without its ]")
        is_first = False
        characters |= _read_item(source)
    source.skip()
    return ANY & ~characters if is_negated else characters


def _read_item(source: Source) -> int:
    """Read a class, a range or a single character."""
    posix = source.match(_POSIX_CLASS)
    if posix and posix[2] in _POSIX:
        source.take(_POSIX_CLASS)
        return ANY & ~_POSIX[posix[2]] if posix[1] else _POSIX[posix[2]]
    low = _read_member(source)
    is_range = low.bit_count() == 1 and not source.begins_with("-]") and source.next_is("-")
    if not is_range:
        return low
    high = _read_member(source)
    return low | high | set_of(range(low.bit_length() - 1, high.bit_length()))


def _read_member(source: Source) -> int:
    if source.is_at_end:
        raise source.refusal("has a [ without its ]")
    character = source.read()
    if character != "\\":
        return set_of([ord(character)])
    if source.is_at_end:
        raise source.refusal("has a [ without its ]")
    if source.next_is("b"):
        return set_of([8])
    return read_escape(source)
