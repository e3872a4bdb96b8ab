"""The HAProxy of this node: checks and applies configurations.

Nothing outside this package accesses HAProxy or its files.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter

from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.haproxy.drift import Seen
from flowproxy.haproxy.inspection import Inspection
from flowproxy.haproxy.names import BackendNames
from flowproxy.haproxy.plan import Cause, Change, Nothing, Plan, Reload, Running, Runtime
from flowproxy.haproxy.ports import require_ports_of_services
from flowproxy.haproxy.process import Process
from flowproxy.haproxy.program import Program
from flowproxy.haproxy.runtime_exchange import RuntimeExchange
from flowproxy.haproxy.sockets import CommandSocket
from flowproxy.haproxy.state_folder import StateFolder
from flowproxy.haproxy.statistics import Statistics
from flowproxy.haproxy.supervisor import Supervisor
from flowproxy.rendering.configuration import Configuration
from flowproxy.settings.model import Settings


class Proxy:
    """One HAProxy with its state folder. `running` is the state of its worker, None if unknown."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.state_dir
        worker = self.folder / "haproxy.sock"
        self._sockets = (
            CommandSocket(self.folder / "master.sock", master=True),
            CommandSocket(worker),
            CommandSocket(worker),
        )
        master, changes, looks = self._sockets
        self._program = Program(settings.haproxy, settings.environment)
        self._files = StateFolder(self.folder)
        self._process = Process(self._program, self.folder, settings.traffic_ports, master, changes)
        self._exchange = RuntimeExchange(changes, settings.crt_list)
        self._inspection = Inspection(looks, settings.crt_list)
        self.supervisor = Supervisor(self._program, self._files, self._process, self._exchange)
        self.statistics = Statistics(self._process, self.folder, master, changes, self._names)
        self._reloaded: str | None = None  # the pid of the worker that was last brought up
        self.running: Running | None = None
        self.reloads: Counter[Cause] = Counter()
        self.runtime_updates = 0

    def close(self) -> None:
        for socket in self._sockets:
            socket.close()
        self._files.release()

    @property
    def unwritten(self) -> str | None:
        """Return the reason why the running configuration could not be written to disk, if any."""
        return self._files.unwritten

    @property
    def leaving(self) -> frozenset[tuple[str, str]]:
        """The servers, as (backend, name), that are to be deleted when their last request has ended."""
        return self._exchange.leaving

    def forget(self) -> None:
        """Make the next plan a reload, whatever HAProxy runs."""
        self.running = None

    async def check(self, configuration: Configuration) -> None:
        """Raises Rejected, in HAProxy's words, when it would not run this configuration; ProxyUnavailable when it does
        not say, OSError when there is no place to write it to."""
        files = await asyncio.to_thread(configuration.files, spares=False)
        folder = await asyncio.to_thread(self._files.write_candidate, files)
        try:
            await self._program.check(folder, lambda: configuration.with_services(spares=False))
            require_ports_of_services(configuration.ports)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def apply(self, plan: Plan, configuration: Configuration) -> None:
        """Bring HAProxy to the configuration. After it returns, every new request is served by it.

        Raises Rejected, ProxyUnavailable or OSError; then HAProxy runs on what it had.
        """
        before = self.running
        async with self._process.hands:
            match plan:
                case Reload(cause):
                    await self._replace(configuration, cause)
                case Runtime(changes):
                    await self._exchange.change(changes)
                    self.runtime_updates += 1
                    await self._keep(configuration)
                case Nothing() if self.unwritten:
                    await self._keep(configuration)
            await self._exchange.delete_leaving()
        if self.running is before:  # and was not forgotten meanwhile
            self.running = before.after(plan, configuration) if before else Running.fresh(configuration)

    async def repair(self, changes: tuple[Change, ...]) -> None:
        """Revert changes made by others. Raises ProxyUnavailable if that fails."""
        async with self._process.hands:
            await self._exchange.change(changes)
            await self._exchange.delete_leaving()

    async def look(self, configuration: Configuration) -> Seen | None:
        """Return what the worker holds of this configuration; None when it is not the worker that was brought up here.

        Raises ProxyUnavailable.
        """
        return await self._inspection.look(configuration, self._reloaded)

    def _names(self) -> BackendNames:
        return BackendNames(self.running.stand_ins if self.running else {})

    async def _replace(self, configuration: Configuration, cause: Cause) -> None:
        files = await asyncio.to_thread(configuration.files)
        before = await asyncio.to_thread(self._files.read, files)
        if cause is Cause.UNKNOWN:
            self._files.trust_only(before)
        await asyncio.to_thread(self._files.write, files)
        try:
            if self._process.pid is None:
                await self._process.start(configuration.digest)
            else:
                await self._process.reload(configuration.digest, configuration.with_services)
                self.reloads[cause] += 1
        except (Rejected, ProxyUnavailable):
            await asyncio.to_thread(self._files.write, before)
            raise
        await asyncio.to_thread(self._files.forget_lists, files)
        self._exchange.forget_leaving()
        self._reloaded = await self._process.worker_pid()

    async def _keep(self, configuration: Configuration) -> None:
        files = await asyncio.to_thread(configuration.files)
        await asyncio.to_thread(self._files.keep, files)
