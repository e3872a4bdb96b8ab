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


def comment(value: object) -> str:
    """A value inside a comment: on one line whatever it holds."""
    return _FORBIDDEN.sub(" ", str(value))


def cli_word(value: str) -> str:
    """One argument of a runtime command: a backslash keeps the next character from being special (management
    guide, 9.3)."""
    return "".join(c if _CLI_PLAIN.match(c) else "\\" + c for c in value)
