"""Lines of HAProxy configuration that a service writes itself, as HAProxy reads them (configuration manual, 2.2).

This module knows what the words of a line are, whether it makes HAProxy read files, and which addresses no line may
contain. `safe_lines` knows what `safe` allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

# What FLOWPROXY_RAW_CONFIG allows: no configuration, the directives of `safe_lines`, or all that HAProxy accepts.
Level: TypeAlias = Literal["none", "safe", "all"]

_SPACE = " \t\n\v\f\r"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", " ": " ", "\\": "\\", "#": "#", "'": "'", '"': '"', "$": "$"}
_HEX = re.compile(r"[0-9A-Fa-f]{2}")

# Address families of HAProxy that lead to a socket or a descriptor of this machine instead of the network
# (configuration manual, 11.1). A path alone is a Unix socket too.
_LOCAL_FAMILY = re.compile(r"(?<![A-Za-z0-9_.-])(?:unix|abnsz?|uxst|uxdg|fd|sockpair|ring|rhttp|rev)@", re.IGNORECASE)
_WITH_ADDRESSES = frozenset(
    "bind default-server dispatch http-check log log-stderr mailer nameserver peer server server-template source"
    " tcp-check".split()
)
_TAKES_A_PATH = frozenset("ca-file ca-sign-file ca-verify-file crl-file crt crt-list tls-ticket-keys".split())
_CHECKS = frozenset(["http-check", "tcp-check"])

_READING = re.compile(r"(?<![A-Za-z0-9_])(?:map(?:_\w+)?|env|lua\.[\w.]+|table_\w+)\s*\(", re.IGNORECASE)
_READING_WORDS = frozenset(
    "-f -M file lf-file errorfile errorfiles errorloc uri-lf ca-file ca-verify-file crl-file crt crt-list config"
    " lua-load spoe".split()
)


class Word(NamedTuple):
    """One word of a line: the text that HAProxy reads, and its position in the line as written."""

    text: str
    start: int
    end: int


def words_of(line: str) -> list[Word]:
    """Return the words of a line up to its comment, with quotes and escapes resolved as HAProxy does.

    Raises ValueError for a quote that is not closed, and for `\\x` without two hexadecimal digits or with two zeros.
    """
    found: list[Word] = []
    text: list[str] = []
    quote, start, position = "", -1, 0
    while position < len(line):
        character = line[position]
        if not quote and character == "#":
            break
        if not quote and character in _SPACE:
            if start >= 0:
                found.append(Word("".join(text), start, position))
                text, start = [], -1
            position += 1
            continue
        if start < 0:
            start = position
        if character == quote or (not quote and character in "\"'"):
            quote = "" if quote else character
            position += 1
        elif character == "\\" and quote != "'":
            resolved, position = _escaped(line, position)
            text.append(resolved)
        else:
            text.append(character)
            position += 1
    if quote:
        raise ValueError("a quote is not closed")
    if start >= 0:
        found.append(Word("".join(text), start, position))
    return found


def _escaped(line: str, position: int) -> tuple[str, int]:
    """Return the character that the escape at this position stands for, and the position after it."""
    following = line[position + 1 : position + 2]
    if following == "x":
        digits = line[position + 2 : position + 4]
        if not _HEX.fullmatch(digits):
            raise ValueError(r"\x needs two hexadecimal digits behind it")
        if digits == "00":
            raise ValueError(r"\x00 ends a word where nobody sees it")
        return chr(int(digits, 16)), position + 4
    if following in _ESCAPES:
        return _ESCAPES[following], position + 2
    return "\\", position + 1


def texts_of(line: str) -> list[str]:
    """Return the words of a line as HAProxy reads them. Raises ValueError as `words_of` does."""
    return [word.text for word in words_of(line)]


def reads_files(line: str) -> bool:
    """Return whether a line makes HAProxy read a file, a variable of the environment, or data of other services.

    HAProxy's complaint about such a line may quote what it has read. A line that cannot be parsed counts as one.
    """
    try:
        words = texts_of(line)
    except ValueError:
        return True
    return any(word in _READING_WORDS or _READING.search(word) for word in words)


def require_network_addresses(lines: Iterable[str]) -> None:
    """Refuse lines that lead to a local socket: one of HAProxy or any other.

    This does not depend on FLOWPROXY_RAW_CONFIG: a client of HAProxy's admin socket can do everything.

    Raises:
        ValueError: with the directive of the line, and what to write instead.
    """
    for line in lines:
        words = texts_of(line)
        if words[:1] in (["no"], ["default"]):
            words = words[1:]
        if words and (_names_a_local_socket(words) or any(map(_LOCAL_FAMILY.search, words))):
            raise ValueError(
                f"`{words[0][:40]}` with the address of a local socket, or with a variable or a path in an address:"
                " lines of a service reach the network only; write an IP address or a name, with a port"
            )


def _names_a_local_socket(words: Sequence[str]) -> bool:
    directive = words[0]
    if directive not in _WITH_ADDRESSES:
        return False
    if directive in _CHECKS:
        positions = [number + 1 for number, word in enumerate(words) if word == "addr"]
        return any("$" in words[n] or _has_path(words[n]) for n in positions if n < len(words))
    return any(
        # HAProxy resolves ${NAME} in an address even where quotes keep it from doing so in the line.
        "$" in word or (_has_path(word) and words[number - 1] not in _TAKES_A_PATH)
        for number, word in enumerate(words)
        if number
    )


def _has_path(word: str) -> bool:
    return any(part.lstrip().startswith("/") for part in word.split(","))
