"""What a text is compared with, as HAProxy reads it: few values in the line itself, many in a file.

A line takes 64 words. A file is read line by line, so a value that cannot stand in one is written on a line of the
configuration, several of which may belong to one ACL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.text.patterns.cost import limited
from flowproxy.text.quoting import word, words

LISTS = "lists"  # the folder of the files
_IN_LINE, _LONGEST_IN_LINE = 8, 256  # values, and characters of them together
_WORDS = 40  # of a line that holds nothing else


class Compared(NamedTuple):
    """A matching method with its flags, such as `sub -i`, and the values, one of which must match.

    `is_limited`: whether regular expressions begin with a limit of their work, which only PCRE understands.
    """

    how: str
    values: tuple[str, ...]
    is_limited: bool = False

    @property
    def is_long(self) -> bool:
        """Whether the values do not fit into a line with other words."""
        return len(self.values) > _IN_LINE or sum(map(len, self.values)) > _LONGEST_IN_LINE

    @property
    def lines(self) -> tuple[str, ...]:
        """What follows the sample, once for each line that is needed; a text matches when one of them does."""
        method = f"-m {words(self.how)}"
        listed, others = self._divided()
        written = [f"{method} -f {word(self._file(listed))}"] if listed else []
        for start in range(0, len(others), _WORDS):
            values = " ".join(map(self._written, others[start : start + _WORDS]))
            written.append(f"{method} -- {values}")
        return tuple(written)

    @property
    def files(self) -> dict[str, bytes]:
        """Return the file with the values, by its path below the state folder, if there is one."""
        listed, _ = self._divided()
        return {self._file(listed): _content(listed)} if listed else {}

    def _divided(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The values for a file, and those for a line."""
        if len(self.values) <= _IN_LINE or self._has_patterns:
            return (), self.values
        listed = tuple(value for value in self.values if _is_listable(value))
        return listed, tuple(value for value in self.values if not _is_listable(value))

    @property
    def _has_patterns(self) -> bool:
        return self.how.startswith("reg")

    def _written(self, value: str) -> str:
        return word(limited(value) if self.is_limited and self._has_patterns else value)

    @staticmethod
    def _file(listed: Iterable[str]) -> str:
        return f"{LISTS}/{hashlib.sha256(_content(listed)).hexdigest()[:32]}.lst"


def _content(listed: Iterable[str]) -> bytes:
    return "".join(f"{value}\n" for value in listed).encode()


def _is_listable(value: str) -> bool:
    """Whether HAProxy reads it from a line of a file as it is: there `#` begins a comment, and spaces are cut off."""
    return value.strip() == value and not value.startswith("#") and value.isprintable()
