"""The reconciliation loop: whenever the desired state changes, a round applies the current one to HAProxy.

It acts only on the registry's snapshot, never on the content of an event. Wake-ups that arrive during a round cause
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
    """Runs the rounds, keeps the outcome of the last one, and lets callers wait for their change."""

    def __init__(
        self, registry: Registry, rounds: Rounds, haproxy: HAProxy, reports: OverlapReports, *, tidy_after: float
    ) -> None:
        """Args: `tidy_after` is the time without changes before a tidy-up, in seconds."""
        self._registry = registry
        self._rounds = rounds
        self._haproxy = haproxy
        self._reports = reports
        self._tidy_after = tidy_after
        self._wake_up = WakeUp()
        self._waiters = Waiters()
        self.turn = asyncio.Lock()  # held while HAProxy changes from one configuration to the next
        self.outcome = Outcome()

    @property
    def overlaps(self) -> Overlaps:
        return self._reports.overlaps

    def wake(self) -> None:
        self._wake_up.call()

    def forget_running(self) -> None:
        """Make the next round reload HAProxy, whatever it runs."""
        self._haproxy.forget()
        self.wake()

    async def run(self) -> NoReturn:
        while True:
            # After a long time without changes, stand-ins and unused backends are tidied up.
            running = self._haproxy.running
            is_untidy = running is not None and running.untidy
            tidy = not await self._wake_up.wait(self._tidy_after if is_untidy else None)
            async with self.turn:
                self.outcome = await self._rounds.run(self._registry.snapshot(), self.outcome, tidy=tidy)
            self._waiters.answer(self.outcome)
            if not self._wake_up.is_called:  # no caller waits for a report: it is postponed while more changes wait
                await self._reports.report(self.outcome.table)
            if self.outcome.failure or self._haproxy.unwritten:
                await self._wake_up.wait(_RETRY_SECONDS)  # a new change does not wait for a retry
                self.wake()

    async def live(self, generation: int, name: str) -> None:
        """Return when the service is served as of this generation.

        Raises:
            Rejected: HAProxy rejects the service.
            ProxyUnavailable: the configuration cannot be applied.
        """
        if self.outcome.applied < generation or self.outcome.failure:
            self.wake()
            await self._waiters.wait(generation, name)
        elif name in self.outcome.quarantined:
            raise self.outcome.refusal(name)
