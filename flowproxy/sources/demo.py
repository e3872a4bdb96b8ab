"""A small origin, so that there is something to route to."""

from __future__ import annotations

import asyncio
import signal
import socket

from aiohttp import web


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
