"""The lifecycle of HAProxy: adopted or started at the start, restarted after a crash, drained at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.haproxy.process import Process
from flowproxy.haproxy.program import Program
from flowproxy.haproxy.runtime_exchange import RuntimeExchange
from flowproxy.haproxy.state_folder import StateFolder
from flowproxy.rendering.parts import Text

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


class Supervisor:
    """Starts and ends HAProxy on the files that are there."""

    def __init__(self, program: Program, files: StateFolder, process: Process, exchange: RuntimeExchange) -> None:
        self._program = program
        self._files = files
        self._process = process
        self._exchange = exchange
        self._stopping = False

    async def attach(self) -> bool:
        """Adopt the HAProxy that already runs here; return whether one does.

        Raises ProxyUnavailable when the folder is another controller's, when there is no HAProxy program, or when the
        ports for traffic cannot be had.
        """
        self._files.claim()
        self._program.require()
        return await self._process.adopt()

    async def start_as_before(self) -> bool:
        """Start HAProxy on the files of the last good configuration, servers included; return whether it runs."""
        configuration = self._files.path / "haproxy.cfg"
        if not configuration.is_file():
            return False
        async with self._process.hands:
            if self._process.pid is not None:
                return True
            try:
                await self._program.check(
                    self._files.path, lambda: Text(configuration.read_text(errors="replace"), parts=None)
                )
                await self._process.start(None)
            except (Rejected, ProxyUnavailable) as error:
                _log.warning("saved configuration ignored", reason=str(error))
                return False
        return True

    async def watch(self, on_restart: Callable[[], None]) -> None:
        """Start HAProxy again, on the files of the last good configuration, whenever it dies.

        `on_restart` is called after each try, so that the reconciler writes the files anew and starts it where that
        failed. Between two tries HAProxy is free for others.
        """
        while True:
            pid = await self._process.ended()
            if self._stopping:
                return
            async with self._process.hands:
                if self._process.pid != pid:
                    continue
                _log.error("haproxy died", pid=pid)
                self._exchange.forget_leaving()
                self._process.pid = None
            while not await self._started_again():
                on_restart()
                await asyncio.sleep(_RETRY_SECONDS)
            on_restart()

    async def hold(self, within: float) -> None:
        """Return when a change that is under way has ended, at most `within` seconds later: a HAProxy that is
        reloading misses signals. No other change begins afterwards."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._process.hands.acquire()

    async def stop(self, within: float) -> None:
        """Let HAProxy finish open requests for at most `within` seconds, and stop it."""
        self._stopping = True
        await self._process.stop(within)

    async def _started_again(self) -> bool:
        async with self._process.hands:
            if self._process.pid is not None:  # another task has already started it
                return True
            try:
                await self._process.start(None)
            except (ProxyUnavailable, OSError) as error:  # no file descriptor, no process
                _log.error("haproxy restart failed", reason=str(error))
                return False
        return True
