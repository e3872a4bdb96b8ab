from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, cast

import pytest

from flowproxy.control import shutdown
from flowproxy.control.shutdown import leave, signalled, stop
from flowproxy.services.registry import Registry
from flowproxy.settings.model import Settings


class Proxy:
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def hold(self, within: float) -> None:
        self.calls.append(f"hold within {within:.0f}")

    async def stop(self, within: float) -> None:
        self.calls.append(f"stop within {within:.0f}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_received_and_a_second_one_does_no_harm(number: signal.Signals) -> None:
    received = signalled()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await received
    os.kill(os.getpid(), number)
    await asyncio.sleep(0)
    for handled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(handled)


async def test_a_node_that_leaves_says_so_at_once() -> None:
    registry = Registry()
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(asyncio.sleep(0))
        await leave(Settings(shutdown_delay="30"), registry, cast(Any, working))

    assert registry.snapshot().stopping


async def test_a_stop_accepts_no_more_holds_and_ends_though_the_work_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "CANCEL_SECONDS", 0.05)
    proxy, release = Proxy(), asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                proxy.calls.append("cancelled")

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        working = tasks.create_task(stubborn())
        await asyncio.sleep(0)
        await stop(Settings(drain_timeout="30"), lambda: proxy.calls.append("deaf"), working, cast(Any, proxy))
        release.set()

    assert proxy.calls == ["deaf", "hold within 15", "cancelled", "stop within 30"]
