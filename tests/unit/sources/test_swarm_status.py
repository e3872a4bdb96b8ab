from __future__ import annotations

from flowproxy.sources.swarm.status import SwarmStatus

CUT_OFF = SwarmStatus(error="refused", last_answer=900)


def test_a_swarm_that_is_reached_or_not_watched_needs_no_warning() -> None:
    assert SwarmStatus().warning(None, 1000) is None
    assert SwarmStatus(connected=True, last_answer=1).warning(None, 1000) is None


def test_a_moment_without_an_answer_needs_none_either() -> None:
    assert CUT_OFF.warning(None, 903) is None


def test_what_is_known_of_a_swarm_that_is_out_of_reach_has_an_age() -> None:
    expected = "the Swarm has not been reached for 95 s; what is served is as it was then"

    assert CUT_OFF.warning(None, 995) == expected
    assert CUT_OFF.warning(100, 995) == expected
    assert SwarmStatus(error="refused").warning(900, 995) == expected


def test_a_swarm_that_was_never_reached_is_not_known() -> None:
    assert "since the start" in (SwarmStatus(error="refused").warning(None, 1000) or "")
