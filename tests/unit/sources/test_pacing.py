from __future__ import annotations

import pytest

from flowproxy.sources.swarm.pacing import Doubt, Pacing


def test_a_service_that_changes_is_listed_quickly_and_then_less_and_less() -> None:
    pacing = Pacing()
    pacing.begin(0)
    assert pacing.pause(1) == 2.0
    pacing.changed(["a"], 1)

    assert pacing.quick(1) == {"a"}
    assert [pacing.pause(now) for now in (1, 1.8, 3, 5.9)] == pytest.approx([0.04, 0.04, 0.1, 0.2])
    assert pacing.pause(6.1) == 2.0


def test_what_is_on_its_way_is_listed_quickly_for_a_minute() -> None:
    pacing = Pacing()
    pacing.changed(["a", "b"], 0)
    pacing.note("a", is_changing=True)

    assert pacing.quick(59) == {"a"}
    assert pacing.quick(61) == set()

    pacing.changed(["a"], 100)
    pacing.note("a", is_changing=False)
    assert pacing.quick(106) == set()


def test_listings_that_take_long_are_made_less_often() -> None:
    pacing = Pacing()
    pacing.begin(0)
    pacing.listed_all_tasks(0, 1)
    assert not pacing.are_tasks_due(20)
    assert pacing.are_tasks_due(21.1)

    pacing.changed(["a"], 30)
    pacing.listed_few_tasks(30, 30.3)
    assert pacing.pause(30.3) == pytest.approx(1.0)


def test_a_storm_of_events_is_a_few_listings() -> None:
    pacing = Pacing()
    pacing.listed_moved(1, 0, 0.03)
    assert pacing.rest(0.03) == pytest.approx(0.1)
    pacing.listed_moved(21, 1, 1.03)
    assert pacing.rest(1.03) == pytest.approx(0.5)
    assert pacing.rest(2) == 0


def test_everything_is_listed_at_an_interval_and_sooner_in_doubt() -> None:
    pacing = Pacing()
    pacing.begin(0)
    assert not pacing.is_due(59, 60)
    assert pacing.is_due(61, 60)
    pacing.listed_everything(61)
    assert not pacing.is_due(120, 60)

    assert not pacing.doubt.believes(61)
    assert pacing.is_due(67, 60)


def test_an_empty_listing_is_believed_after_a_while_of_the_same_connection() -> None:
    doubt = Doubt()
    assert [doubt.believes(now) for now in (0, 29, 31)] == [False, False, True]
    assert not doubt.is_raised

    assert not doubt.believes(40)
    doubt.clear()
    assert not doubt.believes(100)
