"""The one loop: whenever something is wanted, a round brings HAProxy to what is wanted now.

It never acts on what an event said, only on the registry's snapshot; wake-ups that arrive while it works are
one more round.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from flowproxy.background import WakeUp
from flowproxy.control.outcome import Outcome
from flowproxy.control.overlap_reports import OverlapReports
from flowproxy.control.rounds import HAProxy, Rounds
from flowproxy.control.waiters import Waiters
from flowproxy.routing.overlaps import Overlaps
from flowproxy.services.registry import Registry

_RETRY_SECONDS = 1.0


class Reconciler:
    """Runs the rounds, keeps how the last one ended, and lets callers wait for what they asked for."""

    def __init__(
        self, registry: Registry, rounds: Rounds, haproxy: HAProxy, reports: OverlapReports, *, tidy_after: float
    ) -> None:
        """`tidy_after` is in seconds."""
        self._registry = registry
        self._rounds = rounds
        self._haproxy = haproxy
        self._reports = reports
        self._tidy_after = tidy_after
        self._wake_up = WakeUp()
        self._waiters = Waiters()
        self.turn = asyncio.Lock()  # held while HAProxy is on its way from one configuration to the next
        self.outcome = Outcome()

    @property
    def overlaps(self) -> Overlaps:
        return self._reports.overlaps

    def wake(self) -> None:
        self._wake_up.call()

    def forget_running(self) -> None:
        """Whatever HAProxy runs, the next round reloads."""
        self._haproxy.forget()
        self.wake()

    async def run(self) -> NoReturn:
        while True:
            # When it has been quiet for long, names of stand-ins and forgotten backends are tidied up.
            running = self._haproxy.running
            is_untidy = running is not None and running.untidy
            tidy = not await self._wake_up.wait(self._tidy_after if is_untidy else None)
            async with self.turn:
                self.outcome = await self._rounds.run(self._registry.snapshot(), self.outcome, tidy=tidy)
            self._waiters.answer(self.outcome)
            if not self._wake_up.is_called:  # nobody waits for a report: while more is to do, it is put off
                await self._reports.report(self.outcome.table)
            if self.outcome.failure or self._haproxy.unwritten:
                await self._wake_up.wait(_RETRY_SECONDS)  # a change of what is wanted does not wait for a retry
                self.wake()

    async def live(self, generation: int, name: str) -> None:
        """Return when the service, as it was in this generation, is served.

        Raises:
            Rejected: HAProxy refuses it.
            ProxyUnavailable: HAProxy cannot be brought there.
        """
        if self.outcome.applied < generation or self.outcome.failure:
            self.wake()
            await self._waiters.wait(generation, name)
        elif name in self.outcome.quarantined:
            raise self.outcome.refusal(name)
