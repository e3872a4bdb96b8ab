"""Expressions, formats and conditions of HAProxy that read only the request and the response.

`safe` allows no others: fetches and converters that are not listed here are refused, as is everything that is not
understood.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TypeAlias

from flowproxy.text.patterns.cost import cost_of

_LONGEST_PATTERN = 256
_MOST_STEPS = 500_000  # counted for 4,096 characters; a header may have four times as many
_FIRST_ARGUMENT = re.compile(r"(?P<quote>['\"])(?P<quoted>[^'\"]*)(?P=quote)(?=,|$)|(?P<bare>[^'\",]*)(?=,|$)")
_spent: ContextVar[list[int]] = ContextVar("spent")  # steps of each pattern that has been checked
ACL_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
VARIABLE = re.compile(r"(?:txn|req|res)\.[A-Za-z0-9_.]+")
_COMPARED = "(?:_(?:beg|dir|dom|end|len|reg|sub))?"
_FETCHES = re.compile(
    rf"(?:path|url|base){_COMPARED}|pathq|url_(?:ip|port|param{_COMPARED})|urlp(?:_val|{_COMPARED})|query|method"
    rf"|(?:req\.|res\.)?f?hdr(?:_cnt|_ip|_val|{_COMPARED})|shdr(?:_cnt|_ip|_val|{_COMPARED})"
    rf"|(?:(?:req\.|res\.)?cook|scook)(?:_cnt|_val|{_COMPARED})|re[qs]\.ver|re[qs]_ver|res[pq]?_ver"
    r"|re[qs]\.body_(?:len|size)|status|src|src_port|dst|dst_port|var|rand|date|uuid|nbsrv|http_first_req"
    r"|capture\.req\.(?:method|uri|ver)|capture\.res\.ver|str|int|bool|bin|ipv4|ipv6|meth|always_true|always_false"
    r"|ssl_fc(?:_(?:alpn|cipher|has_crt|has_sni|is_resumed|npn|protocol|sni))?"
    r"|ssl_c_(?:used|verify|err|version|serial|sha1|notafter|notbefore|key_alg|sig_alg|s_dn|i_dn)"
)
_CONVERTERS = frozenset(
    "lower upper regsub reg field word bytes base64 b64dec ub64enc ub64dec url_dec url_enc json json_query length"
    " strcmp hex hex2i ipmask ltrim rtrim concat crc32 crc32c djb2 sdbm wt6 xxh32 xxh64 sha1 sha2 http_date ltime utime"
    " iif host_only port_only language add sub mul div mod neg and or xor cpl not odd even bool jwt_header_query"
    " jwt_payload_query param str int".split()
)
_BACKSLASHED = r"\\[^()'\"\\,\s]"
_STEP = re.compile(
    rf"(?P<name>[A-Za-z0-9_.-]+)(?:\((?P<arguments>(?:[^()'\"\\]|{_BACKSLASHED}|'[^']*'|\"(?:[^\"\\]|\\.)*\")*)\))?"
)
_ALIAS = re.compile(r"(?:ci|cp|fi|fp|HM|HP|HPO|HQ|HU|HV|T|t|ID|ST|b|s)(?![A-Za-z])")
_FLAGS = re.compile(r"\{[-+A-Za-z,]{0,20}\}")
LOG_ALIAS = re.compile(r"[A-Za-z]{1,5}(?![A-Za-z])")
METHODS = frozenset("str beg end sub reg dir dom len int ip bool found hex bin".split())

Rest: TypeAlias = Sequence[str]


class Cursor:
    """Reads the words of one line after its directive, one by one."""

    def __init__(self, words: Rest) -> None:
        self._words = list(words)

    def next(self, what: str) -> str:
        """Take the next word. Raises ValueError if it is missing."""
        if not self._words:
            raise ValueError(f"{what} is missing")
        return self._words.pop(0)

    def take(self, *words: str) -> str | None:
        """Take the next word if it is one of these."""
        return self._words.pop(0) if self._words and self._words[0] in words else None

    def rest(self) -> list[str]:
        """Take what is left."""
        words, self._words = self._words, []
        return words

    def end(self) -> None:
        """Require that nothing is left. The error does not quote what is left, which may be part of a secret."""
        if self._words:
            raise ValueError("has more words than it can have; put a value with spaces into quotes")

    def condition(self) -> None:
        """Require that a condition or nothing follows up to the end."""
        if self.take("if", "unless"):
            check_condition(self.rest())
        self.end()


@contextlib.contextmanager
def pattern_budget() -> Iterator[None]:
    """Limit what all regular expressions that are checked in this block may cost one request together."""
    token = _spent.set([])
    try:
        yield
    finally:
        _spent.reset(token)


def check_pattern(pattern: str) -> None:
    """Check one regular expression: its length, and what it can cost for one request. Raises ValueError."""
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"has a regular expression of {len(pattern)} characters; `safe` allows {_LONGEST_PATTERN}")
    try:
        steps = cost_of(pattern).steps
    except ValueError as error:
        raise ValueError(f"has a regular expression that `safe` does not allow: {error}") from None
    spent = _spent.get([])
    if sum(spent) + steps > _MOST_STEPS:
        raise ValueError(
            "has regular expressions that take too long altogether: begin them with ^, and write [^/]* for .*"
        )
    spent.append(steps)


def check_expression(text: str) -> str:
    """Check a fetch with its converters; return the name of the fetch. Raises ValueError."""
    name, end = _read_expression(text, 0)
    if end != len(text):
        raise ValueError("an expression goes on where it should end")
    return name


def _read_expression(text: str, position: int) -> tuple[str, int]:
    """Read a fetch and its converters from a position; return the fetch's name and where the expression ends."""
    fetch = ""
    while True:
        step = _STEP.match(text, position)
        if step is None:
            raise ValueError("an expression has a fetch or converter that is not allowed")
        name, arguments = step["name"], step["arguments"] or ""
        if not fetch:
            fetch = name
            _check_fetch(name, arguments)
        else:
            _check_converter(name, arguments)
        if text[step.end() : step.end() + 1] != ",":
            return fetch, step.end()
        position = step.end() + 1


def _check_fetch(name: str, arguments: str) -> None:
    if not _FETCHES.fullmatch(name):
        raise ValueError(f"the fetch `{shown_name(name)}` is not allowed")
    if name == "var" and not VARIABLE.fullmatch(arguments.partition(",")[0]):
        raise ValueError("a variable has the scope txn, req or res")
    if name == "nbsrv" and arguments:
        raise ValueError("nbsrv asks for the servers of this backend, without a name")


def _check_converter(name: str, arguments: str) -> None:
    if name not in _CONVERTERS:
        raise ValueError(f"the converter `{shown_name(name)}` is not allowed")
    if name in ("regsub", "reg"):
        check_pattern(_first_argument(arguments))


def _first_argument(arguments: str) -> str:
    """Return the first argument of a converter, which may be quoted (configuration manual, 2.2)."""
    found = _FIRST_ARGUMENT.match(arguments)
    if found is None:
        raise ValueError("has a converter whose first argument is not understood")
    return found["bare"] if found["quoted"] is None else found["quoted"]


def check_format(text: str, aliases: re.Pattern[str] = _ALIAS) -> None:
    """Check a log-format: text, `%%`, `%[expression]`, and variables with or without flags. Raises ValueError."""
    position = 0
    while (position := text.find("%", position)) >= 0:
        position += 1
        if text.startswith("%", position):
            position += 1
            continue
        flags = _FLAGS.match(text, position)
        position = flags.end() if flags else position
        if text.startswith("[", position):
            _, position = _read_expression(text, position + 1)
            if not text.startswith("]", position):
                raise ValueError("an expression between %[ and ] goes on where it should end")
            position += 1
        elif alias := aliases.match(text, position):
            position = alias.end()
        else:
            raise ValueError("a percent sign is written %% unless an expression %[…] follows")


def check_condition(words: Rest) -> None:
    """Check the words after `if` or `unless`. Raises ValueError."""
    if not words:
        raise ValueError("a condition is missing behind `if` or `unless`")
    position = 0
    while position < len(words):
        word = words[position].lstrip("!")
        if word == "{":
            end = next((n for n in range(position, len(words)) if words[n] == "}"), None)
            if end is None:
                raise ValueError("a condition that begins with `{` has no `}`")
            check_acl(words[position + 1 : end])
            position = end
        elif word and word not in ("||", "or") and not ACL_NAME.fullmatch(word):
            raise ValueError("a condition is the name of an acl, or `{ fetch … }`")
        position += 1


def check_acl(words: Rest) -> None:
    """Check an expression, its flags and the values that it is compared with. Raises ValueError."""
    cursor = Cursor(words)
    name = check_expression(cursor.next("what to compare"))
    compared = "reg" if name.endswith("_reg") else ""
    while flag := cursor.take("-i", "-n", "-m", "--"):
        if flag == "--":
            break
        if flag == "-m":
            compared = word_of(METHODS, cursor.next("a matching method"))
    values = cursor.rest()
    if flag != "--" and values and values[0].startswith("-") and not values[0][1:].isdigit():
        raise ValueError("an acl has only the flags -i, -n, -m and --")
    if compared == "reg":
        for value in values:
            check_pattern(value)


def word_of(allowed: frozenset[str], word: str) -> str:
    """Return the word. Raises ValueError if it is not one of the allowed ones."""
    if word not in allowed:
        raise ValueError(f"`{shown_name(word)}` is not one of {', '.join(sorted(allowed))}")
    return word


def matching(pattern: re.Pattern[str], word: str, what: str) -> str:
    """Return the word. Raises ValueError, naming `what`, if it does not match the whole pattern."""
    if not pattern.fullmatch(word):
        raise ValueError(f"{what} is wrong")
    return word


def shown_name(word: str) -> str:
    """Return a word as an error may show it: names as they are, anything that may be a secret value as `…`."""
    return word[:40] if re.fullmatch(r"[A-Za-z0-9_.-]+", word[:40]) else "…"
