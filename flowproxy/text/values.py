"""What the value of a parameter or of a setting may be: each type checks one kind, and says what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from flowproxy.text.booleans import boolean
from flowproxy.text.control_characters import holds_control_character
from flowproxy.text.framing_headers import require_no_framing

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?:\*\.?)?{_LABEL}(?:\.{_LABEL})*")
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:]{2,45}")
_PATH = re.compile(r"/[!-~]*")
_TEXT = re.compile(r"[ -~]*")
_METHOD = re.compile(r"[A-Z][A-Z-]{1,31}")
_WORD = r"[A-Za-z0-9.+*/_-]+"
_WORDS = re.compile(rf"{_WORD}(?: +{_WORD})*")
_DURATION = re.compile(r"[0-9]{1,8}(?:us|ms|s|m|h|d)?")

_LONGEST_PATH = 4096  # HAProxy keeps a request's head in 16 KB


def checked_domain(value: str) -> str:
    """Return a name, or one with a wildcard in front, in lower case. Raises ValueError."""
    domain = value.strip().lower().rstrip(".")
    if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
        raise ValueError(
            f"{value!r} is not a domain: write a name such as example.org, or *.example.org for all names below it"
            " (names with other letters in their xn-- form, no port)"
        )
    return domain


def checked_path(value: str) -> str:
    """Return the beginning of a path, or a whole one. Raises ValueError.

    What a regular expression or an ending may be is HAProxy's to check.
    """
    if not value.startswith("/"):
        raise ValueError(f'{value!r} does not start with "/"; write "/{repr(value)[1:-1]}"')
    if not _PATH.fullmatch(value) or "#" in value or "?" in value:
        raise ValueError(
            f"{value!r} holds a character that no request path has; write spaces and other letters percent-encoded,"
            " and no query string"
        )
    if len(value) > _LONGEST_PATH:
        raise ValueError(f"{value[:40]!r}… has {len(value)} characters; a path has at most {_LONGEST_PATH}")
    return value


def checked_line(value: str) -> str:
    """Return a piece of HAProxy configuration that is on one line. Raises ValueError."""
    if holds_control_character(value):
        raise ValueError("must be on one line, without control characters")
    return value


def checked_text(value: str) -> str:
    """Return printable characters of ASCII. Raises ValueError."""
    if not value or not _TEXT.fullmatch(value):
        raise ValueError("must be printable characters of ASCII")
    return value


def matching(pattern: re.Pattern[str], rule: str) -> Callable[[str], str]:
    """Return a check that a whole value matches the pattern; the rule ends the message when it does not."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} {rule}")
        return value

    return check


def one_of(value: T, allowed: tuple[T, ...]) -> T:
    """Return the value. Raises ValueError when it is none of those allowed."""
    if value not in allowed:
        raise ValueError(f"must be one of {', '.join(map(str, allowed))}")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be letters, digits, '_', '.' or '-', begin with a letter or digit, and have at most 128")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is neither a host name nor an IP address")
    return value


def _flag(value: object) -> object:
    """Booleans as the system we replace reads them, but a word that is neither is an error, not silently false."""
    return boolean(value) if isinstance(value, str) else value


def _not_framing(line: str) -> str:
    require_no_framing(line.split(" ")[0])
    return line


def _lines(value: str) -> str:
    value = value.replace("\r\n", "\n").replace("\t", " ")
    for line in value.split("\n"):
        checked_line(line)
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, AfterValidator(checked_line)]
Lines = Annotated[str, AfterValidator(_lines)]
Text = Annotated[str, AfterValidator(checked_text)]
HeaderLine = Annotated[
    Line,
    AfterValidator(matching(re.compile(r"[!%&*+.^|~\w-]+ +\S.*"), "is not of the form `Name value`")),
    AfterValidator(_not_framing),
]
HeaderName = Annotated[
    Line,
    AfterValidator(matching(re.compile(r"[!%&*+.^|~\w-]+(?: +\S.*)?"), "is not the name of a header")),
    AfterValidator(_not_framing),
]
Words = Annotated[
    str,
    AfterValidator(matching(_WORDS, "is not words with spaces between them, such as gzip or text/html text/plain")),
]
Method = Annotated[
    str,
    BeforeValidator(lambda v: v.upper() if isinstance(v, str) else v),
    AfterValidator(matching(_METHOD, "is not an HTTP method")),
]
Duration = Annotated[
    str, AfterValidator(matching(_DURATION, "is not a time: write seconds, or a number with ms, s, m, h or d"))
]
Address = Annotated[str, AfterValidator(_address)]
FilePath = Annotated[str, AfterValidator(matching(re.compile(r"/[ -~]+"), "is not the absolute path of a file"))]
