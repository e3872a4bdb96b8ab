"""Which version of a service serves when HAProxy refuses one, with a HAProxy that refuses what the test says."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import Loop

from flowproxy.errors import Rejected


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


@pytest.mark.parametrize("named", [True, False], ids=["named by HAProxy", "not named"])
async def test_an_offender_is_found_and_the_others_serve(loop: Loop, named: bool) -> None:
    loop.haproxy.names_services = named
    loop.haproxy.refuse("bad", reason="unknown keyword 'nonsense'")
    generations = {name: loop.put(name) for name in ("a", "b", "bad", "c", "d")}
    async with loop.runs():
        for name in "abcd":
            await loop.reconciler.live(generations[name], name)
        with pytest.raises(Rejected, match="nonsense"):
            await loop.reconciler.live(generations["bad"], "bad")

    assert loop.haproxy.serving == {"a", "b", "c", "d"}
    assert loop.reconciler.outcome.quarantined.keys() == {"bad"}


async def test_several_offenders_are_found_in_one_round(loop: Loop) -> None:
    loop.haproxy.names_services = False
    bad = {"s3", "s7", "s8"}
    for name in bad:
        loop.haproxy.refuse(name)
    async with loop.runs():
        generations = {name: loop.put(name) for name in (f"s{n}" for n in range(12))}
        for name in generations.keys() - bad:
            await loop.reconciler.live(generations[name], name)

    assert loop.reconciler.outcome.quarantined.keys() == bad
    assert len(loop.haproxy.plans) == 1


async def test_the_last_good_version_keeps_serving(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("a", "b")
        loop.haproxy.refuse("a")
        with pytest.raises(Rejected):
            await loop.reconciler.live(loop.put("a", timeoutServer="7"), "a")

    assert loop.haproxy.serving == {"a", "b"}
    assert "timeout server" not in loop.haproxy.applied[-1][1].sections["a-be80_0"].text


async def test_of_two_that_do_not_go_together_the_one_that_serves_stays(loop: Loop) -> None:
    async with loop.runs():
        await loop.live("older")
        loop.haproxy.refuse("older", "younger", reason="the acl x is there already")
        loop.reconciler.forget_running()
        with pytest.raises(Rejected, match="the acl x"):
            await loop.live("younger")

    assert loop.haproxy.serving == {"older"}


async def test_a_version_that_is_refused_is_not_tried_again(loop: Loop) -> None:
    loop.haproxy.refuse("bad")
    async with loop.runs():
        with pytest.raises(Rejected):
            await loop.live("bad")
        loop.haproxy.checked.clear()
        await loop.live("a")

    assert all("bad" not in {s.service for s in checked.sections.values()} for checked in loop.haproxy.checked)
    assert loop.reconciler.outcome.quarantined.keys() == {"bad"}


async def test_a_better_version_leaves_quarantine(loop: Loop) -> None:
    loop.haproxy.refuse("a")
    async with loop.runs():
        with pytest.raises(Rejected):
            await loop.live("a")
        loop.haproxy.refused.clear()
        await loop.reconciler.live(loop.put("a", timeoutServer="7"), "a")

    assert loop.reconciler.outcome.quarantined == {}
    assert loop.haproxy.serving == {"a"}


async def test_where_nobody_is_to_blame_the_round_fails(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    async with loop.runs():
        await loop.live("a")
        loop.haproxy.failures = [Rejected("the new worker did not start; are all ports for traffic free?")]
        loop.reconciler.forget_running()
        with pytest.raises(Exception, match="did not start"):
            await loop.reconciler.live(loop.registry.touch(), "")

    assert loop.reconciler.outcome.quarantined == {}


async def test_a_template_that_cannot_be_read_is_its_services_error_alone(loop: Loop, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.cfg")
    async with loop.runs():
        generation = loop.put("bad", templateFePath=missing)
        await loop.live("a")
        with pytest.raises(Rejected, match=f"templateFePath: {missing}: No such file"):
            await loop.reconciler.live(generation, "bad")

    assert loop.haproxy.serving == {"a"}
