"""HAProxy's status, the health of servers, and metrics, with the backends' own names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil

from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.commands import ServerHealth, fields, old_workers, server_health
from flowproxy.haproxy.names import BackendNames
from flowproxy.haproxy.process import Process
from flowproxy.haproxy.sockets import CommandSocket
from flowproxy.rendering.head import EXPORTER

_EXPORTER_SECONDS = 10.0


class ProxyStatus(NamedTuple):
    """HAProxy's status in `/v1/status`. `pid` is the master's, `uptime` is in seconds."""

    version: str
    pid: int
    worker: int
    uptime: int


class Statistics:
    """Asks the worker, the master and the exporter."""

    def __init__(
        self,
        process: Process,
        folder: Path,
        master: CommandSocket,
        worker: CommandSocket,
        names: Callable[[], BackendNames],
    ) -> None:
        self._process = process
        self._exporter = folder / EXPORTER
        self._master = master
        self._worker = worker
        self._names = names

    async def status(self) -> ProxyStatus | None:
        """Return HAProxy's status; None if it does not run."""
        try:
            info = fields(await self._worker.ask("show info"))
        except ProxyUnavailable:
            return None
        pid = self._process.pid or 0
        try:
            uptime = max(0, int(time.time() - psutil.Process(pid).create_time()))
        except psutil.Error:
            uptime = 0
        return ProxyStatus(info.get("Version", ""), pid, int(info.get("Pid", "0")), uptime)

    async def old_workers(self) -> int:
        """Return the number of old workers, which remain until their connections end or FLOWPROXY_HARD_STOP_AFTER."""
        try:
            return len(old_workers(await self._master.ask("show proc")))
        except ProxyUnavailable:
            return 0

    async def csv(self) -> str:
        """Return HAProxy's statistics as CSV (management guide, 9.1). Raises ProxyUnavailable."""
        answer = await self._worker.ask("show stat")
        return await asyncio.to_thread(self._names().in_statistics, answer + "\n")

    async def health(self, backend: str) -> list[ServerHealth]:
        """Return the health of the servers of a backend. Raises ProxyUnavailable."""
        return server_health(await self._worker.ask(f"show stat {self._names().in_haproxy(backend)} 4 -1"))

    async def exposition(self) -> str:
        """Return the metrics of HAProxy's exporter; empty if it is not built in or not reachable."""
        connector = aiohttp.UnixConnector(str(self._exporter))
        timeout = aiohttp.ClientTimeout(total=_EXPORTER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get("http://haproxy/metrics") as answer,
            ):
                text = await answer.text() if answer.status == 200 else ""
        except (aiohttp.ClientError, OSError, TimeoutError):
            return ""
        return await asyncio.to_thread(self._names().in_exposition, text)
