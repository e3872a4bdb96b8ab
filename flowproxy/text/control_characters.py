"""Characters that no line of a configuration can hold."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def holds_control_character(text: str) -> bool:
    """Return whether a text holds a control character of ASCII, such as the end of a line."""
    return _CONTROL.search(text) is not None


def without_control_characters(text: str) -> str:
    """Return the text with spaces in their place."""
    return _CONTROL.sub(" ", text)
