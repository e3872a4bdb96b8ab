"""The order of a shutdown: announce it to load balancers, drain, and end within the deadline."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from flowproxy.haproxy.supervisor import Supervisor
from flowproxy.services.registry import Registry
from flowproxy.settings.model import Settings

_log = structlog.get_logger(__name__)

CANCEL_SECONDS = 0.3  # for cancelled tasks to end; the others are abandoned


def signalled() -> asyncio.Future[None]:
    """Return a future that is done after SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    received = loop.create_future()

    def receive() -> None:
        if not received.done():
            received.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive)
    return received


async def leave(settings: Settings, registry: Registry, working: asyncio.Task[None]) -> None:
    """Announce for FLOWPROXY_SHUTDOWN_DELAY seconds that the node is about to stop, and keep serving meanwhile."""
    registry.stop()
    if settings.shutdown_delay:
        _log.info("leaving", delay_seconds=settings.shutdown_delay)
        await asyncio.wait({working}, timeout=settings.shutdown_delay)


async def stop(
    settings: Settings, stop_listening: Callable[[], None], working: asyncio.Task[None], supervisor: Supervisor
) -> None:
    """Stop everything within FLOWPROXY_DRAIN_TIMEOUT plus one second, even if something hangs or fails."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.drain_timeout
    _log.info("stopping", drain_seconds=settings.drain_timeout)
    stop_listening()
    await supervisor.hold(within=settings.drain_timeout / 2)
    working.cancel()
    await asyncio.wait({working}, timeout=CANCEL_SECONDS)
    await supervisor.stop(within=max(deadline - loop.time(), 0))
