from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from flowproxy.sources.swarm import client
from flowproxy.sources.swarm.events import Events


def test_events_are_taken_once() -> None:
    events = Events()
    events.hear("service", "a")
    events.hear("node", "n")
    assert events.is_pending
    assert events.take() == ({"a"}, True)
    assert not events.is_pending
    assert events.take() == (set(), False)


async def test_an_event_and_the_end_wake() -> None:
    events = Events()
    async with asyncio.timeout(5):
        events.hear("service", "a")
        await events.wait(60)
        events.end()
        await events.wait(60)
    assert events.has_ended
    events.clear()
    assert not events.has_ended
    assert not events.is_pending


def test_silence_is_measured_from_the_last_event() -> None:
    events = Events()
    events.hear("service", "a")

    assert events.silent_for(time.monotonic() + 7) >= 7
    assert events.last is not None


async def test_threads_that_read_streams_lose_no_event() -> None:
    """Reading threads hand each event to the loop, which alone touches what is shared."""
    events = Events()
    loop = asyncio.get_running_loop()
    streams = [[{"Type": "service", "Actor": {"ID": f"{n}-{i}"}} for i in range(500)] for n in range(4)]
    taken: set[str] = set()
    with ThreadPoolExecutor(4) as threads:
        readers = [loop.run_in_executor(threads, client._read, cast(Any, s), events, loop) for s in streams]
        while not all(reader.done() for reader in readers):
            await events.wait(0.01)
            taken |= events.take()[0]
    await asyncio.sleep(0)
    taken |= events.take()[0]

    assert len(taken) == 2000
    assert events.has_ended
