"""No reload loses a request of a client that sends each one once, however long it has kept its connection idle."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest
from clients import KeepAlive, Kind, Load, Multiplexing, say_hello
from controller import Controller
from support import eventually

BUSY_S, PATIENT_S = (0.005, 0.7), (5.0, 10.0)


@pytest.fixture
async def served(controller: Controller) -> AsyncIterator[Controller]:
    """A controller with one service that answers everything."""
    server = await asyncio.start_server(say_hello, "127.0.0.1", 0)
    controller.start()
    port = str(server.sockets[0].getsockname()[1])
    assert controller.reconfigure("web", servicePath="/", port=port, outboundHostname="127.0.0.1").status == 200
    yield controller
    server.close()


class Reloads:
    """Reloads, and the most HAProxy workers that they left at once, with their memory."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._master = psutil.Process(controller.status["haproxy"]["pid"])
        self.workers, self.megabytes = 0, 0

    async def run(self, number: int, interval_s: float) -> None:
        for _ in range(number):
            answer = await asyncio.to_thread(self._controller.api, "/v1/reload")
            assert answer.status == 200
            workers = self._master.children()
            if len(workers) > self.workers:
                self.workers = len(workers)
                self.megabytes = sum(worker.memory_full_info().uss for worker in workers) >> 20
            await asyncio.sleep(interval_s)

    @property
    def old_workers(self) -> int:
        return len(self._master.children()) - 1


@pytest.mark.parametrize("kind", [KeepAlive, Multiplexing])
async def test_ten_reloads_lose_nothing(served: Controller, kind: Kind) -> None:
    load, reloads = Load(served.traffic, "/"), Reloads(served)
    async with asyncio.TaskGroup() as clients:
        clients.create_task(load.ask(kind, 120, BUSY_S))
        await reloads.run(10, 0.3)
        load.stop()

    assert load.lost == {}
    assert load.results[200] > 1000
    assert served.status["reloads"] >= 10


@pytest.mark.parametrize("kind", [KeepAlive, Multiplexing])
async def test_an_idle_connection_outlives_its_worker_s_end_until_its_next_request(
    served: Controller, kind: Kind
) -> None:
    client = kind(served.traffic)
    assert await client.get("/") == 200
    reloads = Reloads(served)
    await reloads.run(3, 0.1)
    assert reloads.old_workers == 1

    assert await client.get("/") == 200
    await asyncio.to_thread(eventually, lambda: reloads.old_workers == 0)
    assert await client.get("/") == 200


@pytest.mark.soak
async def test_a_hundred_reloads_lose_none_of_a_hundred_thousand_requests(
    served: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the clients speak HTTP/1.1, half HTTP/2; most are busy, some pause for up to ten seconds."""
    load, reloads = Load(served.traffic, "/"), Reloads(served)
    async with asyncio.TaskGroup() as clients:
        for kind in (KeepAlive, Multiplexing):
            clients.create_task(load.ask(kind, 160, BUSY_S))
            clients.create_task(load.ask(kind, 50, PATIENT_S))
        await reloads.run(100, 1.0)
        while load.results[200] < 100_000 and not load.lost:
            await reloads.run(1, 1.0)
        load.stop()
    await asyncio.to_thread(eventually, lambda: reloads.old_workers == 0, 20)

    with capsys.disabled():
        sys.stdout.write(
            f"\n{load.results.total()} requests, {served.status['reloads']} reloads, lost: {load.lost};"
            f" at most {reloads.workers} workers with {reloads.megabytes} MB together\n"
        )
    assert load.lost == {}


@pytest.mark.soak
async def test_a_storm_of_reloads_leaves_workers_only_for_the_keep_alive_timeout(
    served: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each worker is left with one idle connection."""
    reloads, clients = Reloads(served), []
    for _ in range(100):
        clients.append(KeepAlive(served.traffic))
        assert await clients[-1].get("/") == 200
        await reloads.run(1, 0)
    began = time.monotonic()
    await asyncio.to_thread(eventually, lambda: reloads.old_workers == 0, 20)

    with capsys.disabled():
        sys.stdout.write(
            f"\nat most {reloads.workers} workers with {reloads.megabytes} MB together, none of them"
            f" {time.monotonic() - began:.0f} s after the last reload\n"
        )
    for client in clients:
        client.close()
