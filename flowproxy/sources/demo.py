"""A small origin, so that there is something to route to."""

from __future__ import annotations

import asyncio
import signal
import socket
import time

from aiohttp import web

from flowproxy.services.admission import Admission, ServiceRequest
from flowproxy.services.registry import Origin
from flowproxy.sources.source import SourceStatus, StatusRecord


class Demo:
    """The origin of `serve --demo`, and its service."""

    def __init__(self, admission: Admission, instance: str) -> None:
        """`instance` is the name of this proxy among several, which its service asks for."""
        self._admission = admission
        self._instance = instance
        self._record = StatusRecord("demo")
        self._runner: web.AppRunner | None = None

    @property
    def status(self) -> SourceStatus:
        """Return whether the origin runs."""
        return self._record.status

    async def run(self) -> None:
        """Start the origin and register its service."""
        self._runner, port = await start_demo("127.0.0.1", 0)
        parameters = {
            "serviceName": "demo",
            "servicePath": "/demo",
            "reqMode": "http",
            "port": str(port),
            "outboundHostname": "127.0.0.1",
            "proxyInstanceName": self._instance,
        }
        created = self._admission.registry.created_at(time.time())
        self._admission.admit_listed(ServiceRequest(Origin.ENVIRONMENT, created, parameters))
        self._record.succeeded()

    async def close(self) -> None:
        """Stop the origin."""
        if self._runner:
            await self._runner.cleanup()


async def start_demo(host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serves `/demo/hello` and says who answered; the port is chosen by the system when it is 0."""
    application = web.Application()
    application.router.add_get("/{path:.*}", _hello)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])


async def serve_demo(port: int) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what it has begun. Raises OSError when the port is taken."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    runner, _ = await start_demo("0.0.0.0", port)  # noqa: S104 - it is there to be reached
    await told.wait()
    await runner.cleanup()


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello, world! You asked {socket.gethostname()} for {request.path}\n")
