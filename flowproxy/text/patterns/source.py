"""The text of a pattern while it is read."""

from __future__ import annotations

import re


class Source:
    """Reads a pattern from its beginning to its end. HAProxy compares bytes, so each character stands for one."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._text = pattern.encode(errors="replace").decode("latin-1")
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._text)

    def peek(self) -> str:
        """Return the next character without reading it."""
        return self._text[self._position]

    def read(self) -> str:
        """Read the next character."""
        self._position += 1
        return self._text[self._position - 1]

    def skip(self) -> None:
        """Leave out the next character."""
        self._position += 1

    def begins_with(self, text: str) -> bool:
        """Return whether the rest begins with a text."""
        return self._text.startswith(text, self._position)

    def next_is(self, text: str) -> bool:
        """Read a text if the rest begins with it; return whether it does."""
        if not self.begins_with(text):
            return False
        self._position += len(text)
        return True

    def match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        """Return what an expression matches at the beginning of the rest, without reading it."""
        return expression.match(self._text, self._position)

    def take(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        """Read what an expression matches at the beginning of the rest."""
        found = self.match(expression)
        if found:
            self._position = found.end()
        return found

    def refusal(self, reason: str) -> ValueError:
        """Return the error that says why the pattern is not accepted."""
        return ValueError(f"{self._pattern!r} {reason}")
