"""Rounds of the loop, with a HAProxy that does what the test says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from scripted import Loop, until

from flowproxy.control import reconciler
from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.haproxy.plan import Cause, Nothing, Reload, Runtime
from flowproxy.services.model import Endpoint
from flowproxy.services.registry import Origin


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setattr(reconciler, "_RETRY_SECONDS", 0.01)
    return Loop(tmp_path)


async def test_the_first_round_reloads_and_a_plain_service_needs_no_reload_after_it(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a")
        await loop.live("b")

    assert loop.haproxy.plans[0] == Reload(Cause.UNKNOWN)
    assert [type(plan) for plan in loop.haproxy.plans[1:]] == [Runtime]
    assert loop.haproxy.serving == {"a", "b"}
    assert loop.reconciler.outcome.applied == loop.registry.snapshot().generation


async def test_changes_during_a_round_are_one_more_round(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("first")
        loop.haproxy.open.clear()
        loop.put("a")
        await until(loop.reconciler.turn.locked)
        generations = {name: loop.put(name) for name in "bcdef"}
        loop.haproxy.open.set()
        for name, generation in generations.items():
            await loop.reconciler.live(generation, name)

    assert len(loop.haproxy.plans) == 3
    assert loop.haproxy.serving == {"first", *"abcdef"}


async def test_only_what_is_new_is_checked(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a", "b")
        loop.haproxy.checked.clear()
        await loop.reconciler.live(loop.put("c", timeoutServer="7"), "c")

    (checked,) = loop.haproxy.checked
    assert {section.service for section in checked.sections.values()} == {"c"}


async def test_a_caller_gets_the_failure_of_its_round_and_the_loop_tries_again(loop: Loop) -> None:
    loop.haproxy.failures = [ProxyUnavailable("no answer")]
    async with loop.runs():
        with pytest.raises(ProxyUnavailable, match="no answer"):
            await loop.live("a")
        await until(lambda: loop.reconciler.outcome.failure is None)

    assert loop.haproxy.serving == {"a"}


async def test_a_full_disk_fails_a_round(loop: Loop) -> None:
    loop.haproxy.failures = [OSError(28, "No space left on device")]
    async with loop.runs():
        with pytest.raises(ProxyUnavailable, match="No space left"):
            await loop.live("a")
        await until(lambda: loop.reconciler.outcome.failure is None)


async def test_runtime_commands_that_fail_are_followed_by_a_reload(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a")
        loop.haproxy.failures = [ProxyUnavailable("HAProxy answered 'no'")]
        await loop.live("b")

    assert loop.haproxy.plans[-1] == Reload(Cause.RUNTIME, "HAProxy answered 'no'")
    assert loop.haproxy.serving == {"a", "b"}


async def test_servers_follow_their_tasks_while_reloads_fail(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a")
        loop.haproxy.failures = [OSError(28, "No space left on device")]
        loop.haproxy.open.clear()
        loop.registry.place("a", [Endpoint.of_address("10.0.0.9")])
        generation = loop.put("b", timeoutServer="7")
        loop.haproxy.open.set()
        with pytest.raises(ProxyUnavailable):
            await loop.reconciler.live(generation, "b")

        plan, configuration = loop.haproxy.applied[-1]
        assert isinstance(plan, Runtime)
        assert [server.address for server in configuration.servers["a-be80_0"]] == ["10.0.0.9"]
        assert loop.haproxy.serving == {"a"}


async def test_a_mistake_of_ours_ends_a_round_and_not_the_loop(loop: Loop) -> None:
    loop.haproxy.failures = [ZeroDivisionError()]
    async with loop.runs():
        with pytest.raises(ProxyUnavailable, match="internal error, see the log: ZeroDivisionError"):
            await loop.live("a")
        await until(lambda: loop.reconciler.outcome.failure is None)

    assert loop.haproxy.serving == {"a"}


async def test_what_is_asked_for_by_a_reload_is_one(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a")
        loop.reconciler.forget_running()
        await loop.reconciler.live(loop.registry.touch(), "")

    assert loop.haproxy.plans == [Reload(Cause.UNKNOWN)] * 2


async def test_nothing_is_done_where_nothing_changed(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a")
        await loop.reconciler.live(loop.registry.touch(), "")

    assert loop.haproxy.plans[1:] == [Nothing()]


async def test_stand_ins_are_tidied_up_when_it_is_quiet(tmp_path: Path) -> None:
    loop = Loop(tmp_path, tidy_after=0.01)
    async with loop.runs():
        await loop.live("a")
        await loop.live("b")
        await until(lambda: loop.haproxy.plans[-1] == Reload(Cause.TIDY))
        running = loop.haproxy.running

    assert running is not None
    assert not running.untidy


async def test_a_service_that_cannot_be_saved_is_refused_and_others_serve(loop: Loop) -> None:
    loop.unsaved["a"] = "it cannot be kept: No space left on device"
    async with loop.runs():
        with pytest.raises(Rejected, match="it cannot be kept"):
            await loop.live("a")
        await loop.live("b")

    assert loop.haproxy.serving == {"b"}


async def test_a_caller_that_goes_away_keeps_nobody_from_being_answered(loop: Loop) -> None:
    async with loop.runs():
        loop.haproxy.open.clear()
        waiting = [asyncio.create_task(loop.live(name)) for name in "ab"]
        await until(loop.reconciler.turn.locked)
        waiting[0].cancel()
        loop.haproxy.open.set()
        await waiting[1]


async def test_what_was_removed_is_gone(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a", "b")
        await loop.reconciler.live(loop.registry.remove("a", Origin.API), "a")

    assert loop.haproxy.serving == {"b"}
