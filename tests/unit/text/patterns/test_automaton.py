"""The positions of a pattern."""

from __future__ import annotations

import pytest

from flowproxy.text.patterns.automaton import Automaton, automaton_of
from flowproxy.text.patterns.syntax import parse


def automaton(pattern: str) -> Automaton:
    return automaton_of(pattern, parse(pattern).root)


def test_each_character_is_a_position_followed_by_the_next() -> None:
    found = automaton("^ab[cd]$")

    assert len(found.characters) == 3
    assert found.follow == [{1}, {2}, set()]
    assert found.first == {0}
    assert not found.repeats_groups


def test_a_search_is_a_position_that_takes_any_character_again_and_again() -> None:
    found = automaton("ab$")

    assert found.follow[2] == {0, 2}
    assert found.first == {0, 2}


def test_a_loop_leads_back_to_its_beginning() -> None:
    assert automaton("^a(bc)+d$").follow == [{1}, {2}, {1, 3}, set()]
    assert automaton("^(bc)+d$").repeats_groups


def test_what_matches_whatever_follows_ends_the_work() -> None:
    assert automaton("^ab*").follow == [set(), set()]


@pytest.mark.parametrize(
    ("pattern", "reason"), [("(a+)+", "repeat inside a repeat"), ("^" + "a" * 301, "more than 300 characters")]
)
def test_a_pattern_that_is_too_much_work_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        automaton(pattern)
