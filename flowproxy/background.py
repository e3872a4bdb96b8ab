"""Loops that run as long as the controller does. An error in one of them is logged and counted, and it starts again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_CALM_SECONDS = 60.0  # without a failure, after which the pause is short again


class Background:
    """Runs the loops and counts their `failures` by name."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()

    async def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a loop until it returns. Whatever it raises, run it again after a pause that grows."""
        pause = _FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                return await run()
            except Exception as error:  # noqa: BLE001 - the last resort: none of them ends the controller
                self.failures[name] += 1
                _log.error("background loop failed", loop=name, failures=self.failures[name], exc_info=error)
            if loop.time() - began > _CALM_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


class WakeUp:
    """Wakes one loop. A call that comes while the loop is busy is not missed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_called(self) -> bool:
        """Whether the next wait returns at once."""
        return self._event.is_set()

    def call(self) -> None:
        self._event.set()

    async def wait(self, within: float | None = None) -> bool:
        """Return True after a call, which is used up by that, or False after so many seconds without one."""
        try:
            async with asyncio.timeout(within):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
