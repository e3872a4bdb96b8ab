"""The interface of all sources: they run and report their status."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import NamedTuple, Protocol


class State(StrEnum):
    """`WAITING` is a source that has not answered yet."""

    WAITING = "waiting"
    OK = "ok"
    FAILING = "failing"
    OFF = "off"


class SourceStatus(NamedTuple):
    """One item of `sources` in `/v1/status`; times are seconds since 1970.

    `since` is when it came into its state, `last_success` when it last answered, `error` what is wrong with it now.
    """

    name: str
    state: State
    since: float
    last_success: float | None = None
    error: str | None = None


class Reporting(Protocol):
    """Something with an item of `sources` in `/v1/status`."""

    @property
    def status(self) -> SourceStatus:
        """Return the current status of the source."""


class Source(Reporting, Protocol):
    """A source of services or of their addresses."""

    async def run(self) -> None:
        """Pass on services or addresses, as long as the source may change."""


class StatusRecord:
    """Keeps the status of one source up to date."""

    def __init__(self, name: str, state: State = State.WAITING) -> None:
        self.status = SourceStatus(name, state, time.time())

    def succeeded(self) -> None:
        """Record an answer."""
        self._become(State.OK, None)
        self.status = self.status._replace(last_success=time.time())

    def failed(self, error: str) -> bool:
        """Record what is wrong, and return whether the source was in order, or new, until now."""
        is_new = self.status.state != State.FAILING
        self._become(State.FAILING, error)
        return is_new

    def _become(self, state: State, error: str | None) -> None:
        since = self.status.since if state == self.status.state else time.time()
        self.status = self.status._replace(state=state, since=since, error=error)
