"""Compares the running HAProxy with the desired state and reverts changes made by others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from typing import NoReturn

import structlog

from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.drift import Drift, What, find_drift
from flowproxy.haproxy.plan import MANY, Running
from flowproxy.haproxy.proxy import Proxy

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 9.0
_LONGEST_PAUSE_SECONDS = 50.0
_SHARE = 0.02  # largest share of the time spent on comparisons
_LOGGED = 20  # repairs logged for one comparison


class DriftWatch:
    """Compares and repairs periodically; counts its `looks`, and in `repaired` its repairs by kind.

    The first comparison does not block other changes. If it finds a difference, a second comparison runs while no
    change is in progress: what still differs was not changed by Flowproxy.
    """

    def __init__(self, reconciler: Reconciler, proxy: Proxy, longest_pause: float) -> None:
        """Args: `longest_pause` is the longest time between two comparisons, in seconds."""
        self._reconciler = reconciler
        self._proxy = proxy
        self._longest_pause = min(longest_pause, _LONGEST_PAUSE_SECONDS)
        self._lasting: frozenset[tuple[What, str]] = frozenset()  # what even a reload did not repair
        self.repaired: Counter[What] = Counter()
        self.looks = 0
        self._seconds = 0.0  # duration of the last comparison

    async def run(self) -> NoReturn:
        while True:
            try:
                await self.look()
            except ProxyUnavailable as error:
                _log.debug("drift check failed", reason=str(error))
            await asyncio.sleep(min(max(_PAUSE_SECONDS, self._seconds / _SHARE), self._longest_pause))

    async def look(self) -> None:
        """Compare once and repair what differs. Raises ProxyUnavailable if HAProxy does not answer."""
        running = self._proxy.running
        if running is None:
            return
        self.looks += 1
        began = time.monotonic()
        found = await self._compared(running)
        self._seconds = time.monotonic() - began
        if found == []:
            self._lasting = frozenset()
            return
        async with self._reconciler.turn:
            if (running := self._proxy.running) is None:
                return
            found = await self._compared(running)
            if found is None:
                _log.warning("unknown haproxy worker found")
                self._reconciler.forget_running()
            elif found:
                await self._repair(running, found)

    async def _compared(self, running: Running) -> list[Drift] | None:
        """Return the drift; None if the worker that answers is not the one that this controller started."""
        seen = await self._proxy.look(running.configuration)
        return None if seen is None else await asyncio.to_thread(find_drift, running, seen, self._proxy.leaving)

    async def _repair(self, running: Running, found: list[Drift]) -> None:
        keys = _keys(found)
        if keys <= self._lasting:
            return
        try:
            if len(found) > MANY:
                raise ProxyUnavailable(f"{len(found)} differences at once")
            await self._proxy.repair(tuple(drift.change for drift in found))
            left = await self._compared(running)
            if left is None or left:
                raise ProxyUnavailable(f"{', '.join(f'{what} {key}' for what, key in sorted(_keys(left or found)))}")
        except ProxyUnavailable as error:
            _log.warning("drift repair failed", reason=str(error)[:500])
            self._lasting = keys
            self._reconciler.forget_running()
        for drift in found[:_LOGGED]:
            _log.warning("drift repaired", what=str(drift.what), key=drift.key)
        if len(found) > _LOGGED:
            _log.warning("more drift repaired", differences=len(found) - _LOGGED)
        self.repaired.update(drift.what for drift in found)


def _keys(found: Collection[Drift]) -> frozenset[tuple[What, str]]:
    return frozenset((drift.what, drift.key) for drift in found)
