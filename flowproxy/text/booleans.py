"""Text to boolean, as Docker Flow Proxy reads it."""

from __future__ import annotations

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True", "on"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", "off", ""})


def boolean(text: str) -> bool:
    """Return what a text says. Raises ValueError for a text that says neither, which must not mean false silently."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("must be true or false")


def is_true(text: str) -> bool:
    """Return whether a text says yes, in any case; any other text says no."""
    return text.lower() in _TRUE


def is_false(text: str) -> bool:
    """Return whether a text says no, in any case, or nothing at all."""
    return text.lower() in _FALSE
