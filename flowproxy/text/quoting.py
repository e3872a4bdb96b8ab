"""Quoting for HAProxy's configuration and runtime API (configuration manual, 2.2)."""

from __future__ import annotations

import re

from flowproxy.text.control_characters import holds_control_character, without_control_characters

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=*?!<>~^|-]+")
_CLI_PLAIN = re.compile(r"[A-Za-z0-9_./:?*=,@%-]")


def _checked(value: object) -> str:
    """Return the text of a value. Raises ValueError for control characters, which no configuration can contain."""
    text = str(value)
    if holds_control_character(text):
        raise ValueError(f"{text!r} holds a control character, which HAProxy's configuration cannot")
    return text


def word(value: object) -> str:
    """Return one argument of a configuration line, quoted where HAProxy would read it otherwise.

    Strong quotes are used: nothing inside them is special, neither `$` nor a backslash. A single quote is written
    outside of them. Raises ValueError for control characters.
    """
    text = _checked(value)
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def words(value: object) -> str:
    """Return several arguments of a configuration line, which are separated by spaces."""
    return " ".join(word(item) for item in str(value).split())


def argument(value: object) -> str:
    """Return an argument of a sample fetch or converter, as it stands inside the word of the expression."""
    return "'" + str(value).replace("'", "'\\''") + "'"


def weak(value: object) -> str:
    """Return a word in weak quotes, as an expression with quoted arguments needs it. Raises ValueError."""
    text = _checked(value)
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def duration(value: object) -> str:
    """Return a time; a number without a unit is in seconds."""
    text = str(value)
    return word(f"{text}s" if text.isdigit() else text)


def line(value: object) -> str:
    """Return the rest of a line that a user wrote as HAProxy configuration, so that `$` reads no variable.

    HAProxy expands variables only inside double quotes (configuration manual, 2.3), so `$` is escaped there. Raises
    ValueError for control characters: the text stays on one line.
    """
    text = _checked(value)
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
    """Return the first word of a line of configuration; None for a comment or an empty line.

    Raises ValueError for a word that HAProxy could read as another one, or that controls how the file is read
    (configuration manual, 2.2 and 2.4).
    """
    words = line.split(None, 1)
    if not words or words[0].startswith("#"):
        return None
    if not _KEYWORD.fullmatch(words[0]):
        raise ValueError(f"{line[:80]!r} does not begin with a keyword of HAProxy")
    return words[0]


def comment(value: object) -> str:
    """Return a value as a comment, on one line whatever it contains."""
    return without_control_characters(str(value))


def cli_word(value: str) -> str:
    """Return one argument of a runtime command, with a backslash before special characters (management guide, 9.3)."""
    return "".join(c if _CLI_PLAIN.match(c) else "\\" + c for c in value)
