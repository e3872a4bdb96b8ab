"""Callers that wait until their change is served."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from flowproxy.control.outcome import Outcome
from flowproxy.errors import ProxyUnavailable


class _Waiter(NamedTuple):
    generation: int
    name: str
    done: asyncio.Future[None]


class Waiters:
    """Holds the waiting callers. The first outcome of their generation, or of a later one, answers them."""

    def __init__(self) -> None:
        self._waiters: list[_Waiter] = []

    async def wait(self, generation: int, name: str) -> None:
        """Return when the service is served as of this generation. Raises Rejected, ProxyUnavailable."""
        waiter = _Waiter(generation, name, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        await waiter.done

    def answer(self, outcome: Outcome) -> None:
        """Answer all callers that this outcome applies to."""
        waiting = []
        for waiter in self._waiters:
            if waiter.done.done():
                continue
            if outcome.generation < waiter.generation:
                waiting.append(waiter)
            elif outcome.failure:
                waiter.done.set_exception(ProxyUnavailable(outcome.failure))
            elif waiter.name in outcome.quarantined:
                waiter.done.set_exception(outcome.refusal(waiter.name))
            else:
                waiter.done.set_result(None)
        self._waiters = waiting
