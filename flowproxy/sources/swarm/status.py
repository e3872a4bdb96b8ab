"""What is known of the connection to the Swarm, and how old that is."""

from __future__ import annotations

from typing import NamedTuple

_FRESH_FOR = 5.0  # seconds without an answer, after which what is known counts as old


class SwarmStatus(NamedTuple):
    """The part of `/v1/status` about the Swarm; times are seconds since 1970. `last_answer` is when tasks were listed
    last, be it those of a few services."""

    connected: bool = False
    last_event: float | None = None
    last_listing: float | None = None
    error: str | None = None
    last_answer: float | None = None

    def warning(self, confirmed: float | None, now: float) -> str | None:
        """Return how old what is known of a Swarm is that is out of reach; None while it is fresh, or none is watched.

        Args:
            confirmed: when an earlier controller listed what this one began with.
            now: seconds since 1970.
        """
        if self.connected or self.error is None:
            return None
        known = max(filter(None, (self.last_answer, confirmed)), default=None)
        if known is None:
            return "the Swarm has not been reached since the start; where its tasks are is not known"
        age = now - known
        if age < _FRESH_FOR:
            return None
        return f"the Swarm has not been reached for {age:.0f} s; what is served is as it was then"
