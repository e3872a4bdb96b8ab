"""The HAProxy process in master-worker mode: adopting, starting, reloading, draining and stopping it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.haproxy.commands import failed_reloads, fields, has_streams, old_workers, workers
from flowproxy.haproxy.ports import require_traffic_ports
from flowproxy.haproxy.processes import end_of, ends, send_signal
from flowproxy.haproxy.program import Program
from flowproxy.haproxy.sockets import CommandSocket
from flowproxy.haproxy.verdicts import verdict
from flowproxy.rendering.parts import Text

_log = structlog.get_logger(__name__)

_START_SECONDS = 30.0
_END_SECONDS = 0.3  # to wait after each signal once draining is over
_DRAIN_PAUSE_SECONDS = 0.1  # enough for a request that has been sent to be seen


class Process:
    """One master with its workers, on the files of a folder. It outlives this process; the next controller finds it by
    its master socket. `pid` is the master's, None when it does not run."""

    def __init__(
        self, program: Program, folder: Path, ports: Iterable[int], master: CommandSocket, worker: CommandSocket
    ) -> None:
        """Args: `ports` are the ports for traffic."""
        self._program = program
        self._folder = folder
        self._ports = tuple(ports)
        self._master = master
        self._worker = worker
        self._child: asyncio.subprocess.Process | None = None  # kept, so that asyncio reaps it
        self._started = asyncio.Event()
        self.pid: int | None = None
        self.hands = asyncio.Lock()  # held while HAProxy is started, reloaded or changed

    async def adopt(self) -> bool:
        """Adopt a HAProxy that already runs on this folder; return whether there is one.

        Raises ProxyUnavailable if there is none and a port for traffic is unavailable.
        """
        self.pid = await self._running_master()
        if self.pid is None:
            require_traffic_ports(self._ports)
            return False
        self._started.set()
        _log.info("haproxy adopted", pid=self.pid)
        return True

    async def ended(self) -> int | None:
        """Return when the HAProxy that was started has ended, with its pid."""
        await self._started.wait()
        pid = self.pid
        if pid is not None:
            await end_of(pid)
        return pid

    async def start(self, digest: str | None) -> None:
        """Start HAProxy, and return when it answers with this digest.

        Raises:
            ProxyUnavailable: it does not answer.
            OSError: the process cannot be started.
        """
        require_traffic_ports(self._ports)
        child = await self._program.start(self._folder)

        async def answers() -> bool:
            if child.returncode is not None:
                raise ProxyUnavailable(f"HAProxy ended at once with exit status {child.returncode}; see its log above")
            try:
                info = fields(await self._worker.ask("show info"))
                await self._master.ask("show proc")  # before it answers, it misses signals
            except ProxyUnavailable:
                return False
            return digest is None or info.get("description") == digest

        try:
            await _until(answers, "HAProxy was started but does not answer", _START_SECONDS)
        except BaseException:  # also when cancelled: nothing else holds a reference to it
            if child.returncode is None:
                child.kill()
            raise
        self.pid, self._child = child.pid, child
        self._started.set()
        _log.info("haproxy started", pid=child.pid)

    async def reload(self, digest: str, configuration: Callable[[], Text]) -> None:
        """Start a new worker on the current files of the folder; `configuration` returns haproxy.cfg.

        Raises Rejected, ProxyUnavailable.

        From 2.7 on, the master answers when the new worker is ready; 2.6 answers nothing. So the result is verified:
        the worker that answers is new and runs this configuration, and every older one has stopped listening.
        """
        worker_before = await self.worker_pid()
        failed_before = failed_reloads(await self._master.ask("show proc"))
        answer = await self._master.ask("reload")
        if "Success=0" in answer:
            raise verdict(answer, configuration())

        async def serving() -> bool:
            try:
                info = fields(await self._worker.ask("show info"))
                if info.get("description") == digest and info.get("Pid") != worker_before:
                    return await self._old_workers_stopping()
                processes = await self._master.ask("show proc")
            except ProxyUnavailable:
                return False
            if failed_reloads(processes) > failed_before:
                raise Rejected("the new worker did not start; are all ports for traffic free?")
            return False

        await _until(serving, "HAProxy's new worker does not answer", _START_SECONDS)

    async def worker_pid(self) -> str | None:
        """Return the pid of the worker that answers; None if there is none."""
        try:
            return fields(await self._worker.ask("show info")).get("Pid")
        except ProxyUnavailable:
            return None

    async def stop(self, within: float) -> None:
        """Let HAProxy finish open requests for at most `within` seconds, and stop it."""
        pid = self.pid
        if pid is None:
            return
        send_signal(pid, signal.SIGUSR1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._drain(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            send_signal(pid, number)
            if await ends(pid, _END_SECONDS):
                break
        self.pid = None
        _log.info("haproxy stopped", pid=pid)

    async def _drain(self, pid: int) -> None:
        """Return when HAProxy has ended or has only idle connections, which it would keep until their next request."""
        while not await ends(pid, _DRAIN_PAUSE_SECONDS):
            if not await self._is_busy():
                return

    async def _is_busy(self) -> bool:
        """Return whether a request or tunnel is in progress, or HAProxy does not answer."""
        try:
            pids = workers(await self._master.ask("show proc"))
            return any([has_streams(await self._master.ask(f"@!{pid} show sess")) for pid in pids])
        except ProxyUnavailable:
            return True

    async def _running_master(self) -> int | None:
        try:
            first_line = (await self._master.ask("show proc")).splitlines()[1]
        except (ProxyUnavailable, IndexError):
            return None
        return int(first_line.split()[0])

    async def _old_workers_stopping(self) -> bool:
        processes = await self._master.ask("show proc")
        for pid in old_workers(processes):
            info = fields(await self._master.ask(f"@!{pid} show info"))
            if info.get("Stopping", "1") != "1":
                return False
        return True


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise ProxyUnavailable(f"{otherwise} within {seconds:.0f} s")
        await asyncio.sleep(0.004)
