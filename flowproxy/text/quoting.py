"""What a word of HAProxy configuration may be, and how it is written (HAProxy configuration manual, 2.2)."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=*?!<>~^|-]+")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
_CLI_PLAIN = re.compile(r"[A-Za-z0-9_./:?*=,@%-]")


def word(value: object) -> str:
    """One argument of a configuration line, quoted where HAProxy would otherwise read it as several or as
    something else.

    Strong quotes are used: nothing inside them is special, neither `$` nor a backslash. A single quote is written
    outside of them. Raises ValueError for control characters, which no argument can hold.
    """
    text = str(value)
    if _FORBIDDEN.search(text):
        raise ValueError(f"{text!r} holds a control character, which HAProxy's configuration cannot")
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def words(value: object) -> str:
    """Several arguments of a configuration line, separated by spaces."""
    return " ".join(word(item) for item in str(value).split())


def argument(value: object) -> str:
    """An argument of a sample fetch or converter, as it stands inside the word of the expression (manual, 2.2)."""
    return "'" + str(value).replace("'", "'\\''") + "'"


def weak(value: object) -> str:
    """A word in weak quotes: what an expression with quoted arguments is written in."""
    text = str(value)
    if _FORBIDDEN.search(text):
        raise ValueError(f"{text!r} holds a control character, which HAProxy's configuration cannot")
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def duration(value: object) -> str:
    """A time; without a unit it is in seconds."""
    text = str(value)
    return word(f"{text}s" if text.isdigit() else text)


def line(value: object) -> str:
    """The rest of a line that a user wrote as HAProxy configuration. It stays one line, and `$` reads no
    variable of ours.

    HAProxy puts the environment into double quotes only (configuration manual, 2.3), so that is where `$` is escaped.
    """
    text = str(value)
    if _FORBIDDEN.search(text):
        raise ValueError(f"{text!r} holds a control character, which HAProxy's configuration cannot")
    written, quote, escaped = [], "", False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = ""
        elif character in "\"'" and not quote:
            quote = character
        elif character == "$" and quote == '"':
            written.append("\\")
        written.append(character)
    return "".join(written)


SECTIONS = frozenset(
    "global defaults frontend backend listen userlist resolvers peers mailers cache program ring http-errors fcgi-app"
    " crt-store traces log-forward log-profile acme namespace_list".split()
)
_KEYWORD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def keyword(line: str) -> str | None:
    """The first word of a line of configuration, None of a comment or an empty line.

    Raises ValueError when it is written so that HAProxy reads another one, or is one that steers how the file is read
    (configuration manual, 2.2 and 2.4).
    """
    words = line.split(None, 1)
    if not words or words[0].startswith("#"):
        return None
    if not _KEYWORD.fullmatch(words[0]):
        raise ValueError(f"{line[:80]!r} does not begin with a keyword of HAProxy")
    return words[0]


def comment(value: object) -> str:
    """A value inside a comment: on one line whatever it holds."""
    return _FORBIDDEN.sub(" ", str(value))


def cli_word(value: str) -> str:
    """One argument of a runtime command: a backslash keeps the next character from being special (management
    guide, 9.3)."""
    return "".join(c if _CLI_PLAIN.match(c) else "\\" + c for c in value)
