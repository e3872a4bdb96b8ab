"""Background loops that fail run again."""

from __future__ import annotations

import asyncio

import pytest

from flowproxy import background
from flowproxy.background import Background, WakeUp


def test_an_error_is_counted_and_the_loop_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_PAUSE_SECONDS", 0.001)
    loops, runs = Background(), 0

    async def fails_twice() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("dictionary changed size during iteration")

    asyncio.run(loops.keep("names", fails_twice))
    assert runs == 3
    assert loops.failures == {"names": 2}


def test_a_loop_ends_when_it_is_cancelled() -> None:
    loops = Background()

    async def cancelled() -> None:
        async with asyncio.timeout(0.01):
            await loops.keep("names", asyncio.Event().wait)  # type: ignore[arg-type] # it never returns

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
    assert loops.failures == {}


async def test_a_wake_up_call_is_not_missed_and_used_up_by_one_wait() -> None:
    wake_up = WakeUp()
    wake_up.call()

    assert wake_up.is_called
    assert await wake_up.wait()
    assert not await wake_up.wait(within=0.01)
