"""Translates between the names of backends and their names in HAProxy, where spares stand in for some.

Answers of HAProxy are parsed, and only the field that holds a backend is renamed. Unused spares are left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping

from flowproxy.rendering.spares import is_spare
from flowproxy.rendering.values import VALUES, renamed

# The label of the exporter. A quote inside of a label's value is escaped, so that this is never found in one.
_LABEL = re.compile(r'[{,]proxy="(?P<backend>[^"\\]*)"')


def map_in_haproxy(name: str, entries: Mapping[str, str], stand_ins: Mapping[str, str]) -> Mapping[str, str]:
    """Return the entries of a map with the names by which HAProxy knows the backends.

    Routes hold a backend as their value. The map of values holds it in its keys.
    """
    if not stand_ins:
        return entries
    if name == VALUES:
        return renamed(entries, stand_ins)
    return {key: stand_ins.get(value, value) for key, value in entries.items()}


class BackendNames:
    """Translates names of backends."""

    def __init__(self, stand_ins: Mapping[str, str]) -> None:
        """`stand_ins` are the spares that stand in for backends, by the names of these."""
        self._in_haproxy = stand_ins
        self._own = {spare: name for name, spare in stand_ins.items()}

    def in_haproxy(self, backend: str) -> str:
        """Return the name by which HAProxy knows a backend."""
        return self._in_haproxy.get(backend, backend)

    def own(self, backend: str) -> str | None:
        """Return a backend's own name; None for an unused spare."""
        return self._own.get(backend) if is_spare(backend) else backend

    def in_statistics(self, answer: str) -> str:
        """Return the CSV of `show stat` (management guide, 9.1) with the backends by their own names."""
        rows = csv.reader(io.StringIO(answer, newline=""))
        written = io.StringIO(newline="")
        csv.writer(written, lineterminator="\n").writerows(self._renamed(rows))
        return written.getvalue()

    def in_exposition(self, text: str) -> str:
        """Return the samples of HAProxy's exporter with the backends by their own names."""
        return "".join(line for line in map(self._sample, text.splitlines(keepends=True)) if line is not None)

    def _renamed(self, rows: Iterable[list[str]]) -> Iterable[list[str]]:
        for row in rows:
            if not row:
                yield row
            elif (own := self.own(row[0])) is not None:
                yield [own, *row[1:]]

    def _sample(self, line: str) -> str | None:
        label = _LABEL.search(line)
        if label is None or line.startswith("#"):
            return line
        own = self.own(label["backend"])
        return None if own is None else line[: label.start("backend")] + own + line[label.end("backend") :]
