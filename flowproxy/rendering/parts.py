"""Which lines of a text are there for which service.

A template marks them while it is rendered; the marks are taken out again. What a service writes cannot hold a mark, so
no line is taken for another service's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_BEGIN, _END = "\x02", "\x03"


class Part(NamedTuple):
    """Lines that are there for a service, from the first to the last, counted from 1."""

    first: int
    last: int
    service: str

    def moved(self, lines: int) -> Part:
        """Return the same part so many lines further down."""
        return Part(self.first + lines, self.last + lines, self.service)


class Text(NamedTuple):
    """A text with its parts. `parts` is None if they are unknown."""

    text: str
    parts: Sequence[Part] | None = ()

    @property
    def knows_services(self) -> bool:
        return self.parts is not None

    def service_at(self, line: int) -> str:
        """Return the service that a line is there for, counted from 1; empty where there is none."""
        found = (part.service for part in self.parts or () if part.first <= line <= part.last)
        return next(found, "")


def joined(texts: Iterable[Text]) -> Text:
    """Return the texts one below the other."""
    lines, parts, number = [], [], 0
    for text in texts:
        lines.append(text.text)
        parts += [part.moved(number) for part in text.parts or ()]
        number += text.text.count("\n") + 1
    return Text("\n".join(lines), tuple(parts))


def owned(service: str, caller: Callable[[], str]) -> str:
    """Mark what a template's call block holds as a service's: `{% call owned(name) %}…{% endcall %}`, whole lines each.

    Raises ValueError when it holds a mark already.
    """
    content = caller()
    if has_marks(content):
        raise ValueError(f"what is written for service {service} holds a control character")
    return f"{_BEGIN}{service}\n{content}{_END}\n"


def has_marks(text: str) -> bool:
    """Return whether a text would be taken for marked."""
    return _BEGIN in text or _END in text


def without_marks(marked: str) -> Text:
    """Return a rendered text without its marks, and the parts that they were around."""
    if not has_marks(marked):
        return Text(marked)
    lines: list[str] = []
    parts: list[Part] = []
    service, first = "", 0
    for line in marked.split("\n"):
        if line.startswith(_BEGIN):
            service, first = line.removeprefix(_BEGIN), len(lines) + 1
        elif line == _END:
            parts.append(Part(first, len(lines), service))
        else:
            lines.append(line)
    return Text("\n".join(lines), tuple(parts))
