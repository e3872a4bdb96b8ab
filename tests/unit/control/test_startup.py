from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from flowproxy.control import startup
from flowproxy.control.startup import FirstLook, Greeting, ask_at_once, take_over


class Log:
    """Stands in for several objects, and keeps the order of the calls."""

    def __init__(self, *, adopted: bool = False) -> None:
        self.calls: list[str] = []
        self.adopted = adopted
        self.looked = asyncio.Event()

    async def attach(self) -> bool:
        self.calls.append("attach")
        return self.adopted

    async def start_as_before(self) -> None:
        self.calls.append("start as before")

    def restore(self, *, adopted: bool) -> None:
        self.calls.append(f"restore, adopted={adopted}")

    async def run(self, *_: object) -> None:
        self.calls.append("run")

    async def look(self) -> None:
        self.calls.append("look")


@pytest.mark.parametrize(
    ("adopted", "with_swarm", "calls"),
    [
        (True, True, ["attach", "restore, adopted=True"]),
        (True, False, ["attach", "restore, adopted=True"]),
        (False, True, ["attach", "restore, adopted=False"]),
        (False, False, ["attach", "start as before", "restore, adopted=False"]),
    ],
)
async def test_haproxy_is_started_on_saved_addresses_only_without_a_swarm(
    adopted: bool, with_swarm: bool, calls: list[str]
) -> None:
    log = Log(adopted=adopted)
    await take_over(cast(Any, log), cast(Any, log), with_swarm=with_swarm)

    assert log.calls == calls


async def test_sources_that_answer_at_once_are_read_before_certificates() -> None:
    log = Log()
    await ask_at_once([cast(Any, log)], cast(Any, log))

    assert log.calls == ["run", "look"]


@pytest.mark.parametrize(("listed", "looked"), [(True, True), (True, False), (False, True), (None, True)])
async def test_the_first_round_waits_for_a_first_look_but_not_forever(
    listed: bool | None, looked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "_FIRST_LISTING_SECONDS", 0.05)
    monkeypatch.setattr(startup, "_FIRST_NAMES_SECONDS", 0.05)
    log, event = Log(), asyncio.Event()
    if listed:
        event.set()
    if looked:
        log.looked.set()
    async with asyncio.timeout(10):
        await FirstLook(cast(Any, log), None if listed is None else event).reconcile(cast(Any, log))

    assert log.calls == ["run"]


async def test_the_first_round_does_not_come_before_the_swarm_is_listed() -> None:
    log, listed = Log(), asyncio.Event()
    log.looked.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(FirstLook(cast(Any, log), listed).reconcile(cast(Any, log)))
        await asyncio.sleep(0)
        assert log.calls == []
        listed.set()

    assert log.calls == ["run"]


class Others:
    """Stands in for the replicas, the certificates and the exchange; no other replica answers."""

    def __init__(self) -> None:
        self.asked: object = None

    def kept(self) -> list[object]:
        return []

    async def ask_for_certificates(self, present: object) -> None:
        self.asked = present

    async def compare(self) -> None:
        await asyncio.Event().wait()

    async def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        await run()


async def test_a_replica_that_does_not_answer_does_not_hold_up_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_FIRST_COMPARISON_SECONDS", 0.05)
    others = cast(Any, Others())
    async with asyncio.timeout(10):
        await Greeting(others, others, others, 0).run(others)

    assert others.asked == set()
