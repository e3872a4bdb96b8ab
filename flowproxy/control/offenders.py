"""Finds the rejected services among the new and changed ones, by checking subsets with HAProxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from flowproxy.errors import Rejected
from flowproxy.services.parse import blamed
from flowproxy.services.registry import Entry

Entries: TypeAlias = Mapping[str, Entry]
Attempt: TypeAlias = Callable[[Entries], Awaitable[None]]


class Refused(NamedTuple):
    """A service that HAProxy rejects, with the reason; `parameter` is the one at fault, empty if unknown."""

    entry: Entry
    reason: str
    parameter: str = ""

    def __str__(self) -> str:
        return f"{self.parameter}: {self.reason}" if self.parameter else self.reason


Offenders: TypeAlias = dict[str, Refused]


async def find_offenders(good: Entries, changed: Entries, error: Rejected, attempt: Attempt) -> Offenders:
    """Return the changed services that HAProxy rejects, alone or together with the good ones.

    Args:
        good: the last good versions of all services.
        error: why all of them together were rejected.
        attempt: checks some services together with HAProxy; raises Rejected if it rejects them.
    """
    search = _Search(changed, attempt)
    alone = await search.guilty({}, list(changed), error)
    return alone or await search.guilty(good, list(changed), error)


class _Search:
    def __init__(self, changed: Entries, attempt: Attempt) -> None:
        self._changed = changed
        self._attempt = attempt

    async def guilty(self, good: Entries, suspects: Sequence[str], error: Rejected) -> Offenders:
        """Check first the services that HAProxy names, each alone, because it may name the wrong one of two that
        conflict. If none of them is at fault, halve the suspects."""
        found: Offenders = {}
        while suspects:
            guilty: Offenders = {}
            for name in error.services.intersection(suspects):
                guilty |= await self._halved(dict(good), [name])
            if not guilty:
                return found | await self._halved(dict(good), suspects)
            found |= guilty
            suspects = [name for name in suspects if name not in guilty]
            try:
                await self._attempt({**good, **self._entries(suspects)})
            except Rejected as another:
                error = another
                continue
            break
        return found

    async def _halved(self, good: dict[str, Entry], names: Sequence[str]) -> Offenders:
        """Halve the suspects until only those remain that fail together with the good ones; add the others to these."""
        suspects = self._entries(names)
        try:
            await self._attempt({**good, **suspects})
        except Rejected as error:
            if len(names) == 1:
                entry = suspects[names[0]]
                parameter = blamed(entry.parameters, str(error), error.lines) or ""
                return {names[0]: Refused(entry, str(error), parameter)}
            half = len(names) // 2
            first = await self._halved(good, names[:half])
            return first | await self._halved(good, names[half:])
        good.update(suspects)
        return {}

    def _entries(self, names: Sequence[str]) -> dict[str, Entry]:
        return {name: self._changed[name] for name in names}
