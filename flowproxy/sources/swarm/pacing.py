"""When to list what. Swarm sends no events for tasks, so the tasks of a service are listed quickly while it changes and
slowly otherwise; and no listing may keep a manager busy.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable

_QUICKEST, _QUICK, _SLOW = 0.04, 0.2, 2.0  # between two listings of tasks
_CALMING = 20  # the quickest for a second after a change was seen, then less and less
_QUICK_FOR = 60.0  # after the last change that was seen; what hangs longer is listed slowly
SETTLING = 5.0  # an event comes before the tasks that it leads to
_QUICK_SHARE, _SLOW_SHARE = 0.3, 0.05  # the part of the time that listings of tasks may take
_DOUBT_FOR, _DOUBT_EVERY = 30.0, 5.0  # of a listing that is empty all at once
_STORM = 20  # more events than these are a storm
_GATHER = 0.5  # between two listings in a storm, because each may come to a reload


class Pacing:
    """Remembers what changed when, and what listings cost."""

    def __init__(self) -> None:
        self._changed_at: dict[str, float] = {}
        self._changing: set[str] = set()
        self._cost_of_few = self._cost_of_all = 0.0  # of the last listing of tasks
        self._listed = self._polled = self._rested = 0.0
        self.doubt = Doubt()

    def begin(self, now: float) -> None:
        """Start anew, with everything just listed."""
        self._listed = self._polled = self._rested = now

    def changed(self, identities: Iterable[str], now: float) -> None:
        """Note that these services changed."""
        self._changed_at |= dict.fromkeys(identities, now)

    def note(self, identity: str, *, is_changing: bool) -> None:
        """Note whether tasks of a service are on their way up or down."""
        if is_changing:
            self._changing.add(identity)
        else:
            self._changing.discard(identity)

    def quick(self, now: float) -> set[str]:
        """Return the services whose tasks are to be listed quickly."""
        patience = {identity: _QUICK_FOR if identity in self._changing else SETTLING for identity in self._changed_at}
        self._changed_at = {i: at for i, at in self._changed_at.items() if now - at < patience[i]}
        return set(self._changed_at)

    def pause(self, now: float) -> float:
        """Return the seconds until tasks are listed again if no event comes."""
        if not self.quick(now):
            return self._slowly
        calm = now - max(self._changed_at.values())
        return max(_QUICKEST, min(calm / _CALMING, _QUICK), self._cost_of_few / _QUICK_SHARE)

    def rest(self, now: float) -> float:
        """Return the seconds until services that moved may be listed: many events are few listings."""
        return max(self._rested - now, 0)

    def is_due(self, now: float, interval_s: float) -> bool:
        """Return whether everything is to be listed."""
        return now - self._listed > (_DOUBT_EVERY if self.doubt.is_raised else interval_s)

    def listed_everything(self, now: float) -> None:
        self._listed = self._polled = now

    def listed_moved(self, count: int, began: float, ended: float) -> None:
        """Note that so many services that moved were listed."""
        cost = ended - began
        self._rested = ended + max(cost / _QUICK_SHARE, _GATHER if count > _STORM else 0)

    def are_tasks_due(self, now: float) -> bool:
        """Return whether the tasks of all services are to be listed, not only of those that change."""
        return now - self._polled > self._slowly

    def listed_all_tasks(self, began: float, ended: float) -> None:
        self._polled, self._cost_of_all = ended, ended - began

    def listed_few_tasks(self, began: float, ended: float) -> None:
        self._cost_of_few = ended - began

    @property
    def _slowly(self) -> float:
        return max(_SLOW, self._cost_of_all / _SLOW_SHARE)


class Doubt:
    """Of a listing without any service, though some are known: it may come from a daemon that has just started. It is
    believed when the same connection has said so for a while; events that services were removed are at once."""

    seconds = _DOUBT_FOR

    def __init__(self) -> None:
        self._since: float | None = None

    @property
    def is_raised(self) -> bool:
        return self._since is not None

    def clear(self) -> None:
        self._since = None

    def believes(self, now: float) -> bool:
        """Return whether an empty listing is believed now; the first one is not."""
        if self._since is None:
            self._since = now
        if now - self._since < _DOUBT_FOR:
            return False
        self._since = None
        return True
