"""The cost of regular expressions."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import rounds

from flowproxy.text.patterns.cost import cost_of, limited, reach_of, steps_of
from flowproxy.text.patterns.limits import LONGEST_HOST, LONGEST_TEXT, MOST_STEPS, MOST_STEPS_ANY_HOST
from flowproxy.text.patterns.search import is_found

ORDINARY = [
    "^/v[0-9]+/",
    r"\.(png|jpe?g|gif)$",
    "^/(en|de|fr)(/|$)",
    "^/api/(v1|v2)/.*",
    "/[^/]+/edit$",
    ".*",
    "^/u/(\\d+)(?:/.*)?$",
    "^/(?!api/).*",
    "^/(.*)/files/(.*)$",
    "^/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "(?i)^/([a-z]{2,3}(-[A-Z]{2})?)/",
    r"^www\d*\.example\.(com|org)$",
    "^/[[:alpha:]]+/x",
]


@pytest.mark.parametrize("pattern", ORDINARY)
def test_an_ordinary_pattern_is_cheap_enough_for_any_host(pattern: str) -> None:
    assert cost_of(pattern).steps <= MOST_STEPS_ANY_HOST / 4


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+", "repeat inside a repeat"),
        ("(a*)*", "repeat inside a repeat"),
        ("(a|a)*$", "more than one way"),
        ("(a|ab|b)*c", "more than one way"),
        ("([^a]|A)*x", "more than one way"),
        ("^/(?=(a+)+b)", "repeat inside a repeat"),
        ("(?i)(a|A)*x", "more than one way"),
        ("(x+x+)+y", "more than one way"),
        ("(.*a){5}", "in a row"),
        (".*.*.*.*x", "in a row"),
        ("(.*a){30}", "unbounded repeats"),
        ("a{1000}", "more than 300 times"),
        ("(?:a{100}){4}", "more than 300 characters"),
        ("a?" * 14 + "b", "ways"),
        ("(a?){30}b", "ways"),
        (r"(a)\1", "back-reference"),
        ("(?R)", "recursion"),
        ("(?<=a)b", "look-behind"),
        ("(?(1)a|b)", "condition"),
        ("(*NO_JIT)a", "steers the engine"),
        ("a(*COMMIT)b", "steers the engine"),
        (r"\Qa", r"\Q"),
        ("(", "without its )"),
        (")", "without its ("),
        ("[a", "without its ]"),
        ("*", "nothing before it"),
        ("\\", "single backslash"),
        ("(" * 30 + ")" * 30, "20 groups"),
        ("x" * 501, "at most 500"),
    ],
)
def test_a_refused_pattern_has_a_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as raised:
        cost_of(pattern)

    assert repr(pattern[:40])[:-1] in str(raised.value)


def test_quadratic_patterns_are_compared_with_shorter_texts() -> None:
    assert cost_of("^/[^/]+/x").reach == LONGEST_TEXT
    assert cost_of("^/.*a.*[bc]").reach < LONGEST_TEXT
    assert cost_of("^/(?:[a-z]+/)*x").reach < cost_of("^/.*a.*[bc]").reach
    assert cost_of("a.*[bc]", LONGEST_HOST).reach == LONGEST_HOST
    assert reach_of(["^/", "^/.*a.*[bc]"]) == cost_of("^/.*a.*[bc]").reach
    assert steps_of(["^/", "^/a"]) == cost_of("^/").steps + cost_of("^/a").steps


def test_the_limit_is_far_above_the_cost_of_the_pattern() -> None:
    for pattern in ORDINARY:
        limit = re.fullmatch(r"\(\*LIMIT_MATCH=(\d+)\)(.*)", limited(pattern), re.DOTALL)
        assert limit
        assert int(limit[1]) >= 4 * cost_of(pattern).steps
        assert limit[2] == pattern


PIECES = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "/", "a*", "[ab]+", ".*?", "a?", "b{1,3}"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2,3}", "{2,}"])).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000), deadline=None)
@given(st.sampled_from(["^", ""]), PIECES, st.sampled_from(["", "$", "[cd]$"]), st.sampled_from(["a", "ab", "/a", "b"]))
def test_a_backtracking_engine_is_quick_with_accepted_patterns(start: str, piece: str, end: str, text: str) -> None:
    """Python's engine works as PCRE does, some fifty times slower."""
    pattern = f"{start}{piece}{end}"
    try:
        cost = cost_of(pattern)
    except ValueError:
        return
    if cost.steps > MOST_STEPS / 10:
        return
    hostile = (text * cost.reach)[: cost.reach]
    begun = time.process_time()
    expected = re.search(pattern, hostile, re.DOTALL) is not None
    assert time.process_time() - begun < 0.5
    assert is_found(pattern, hostile) == expected


def test_the_analysis_itself_is_quick() -> None:
    hostile = ["(.?)" * 100, "(a|b|.)" * 60, "(.*a){20}", ".{300}", "(a?|b?|.?)" * 30, "[ab]{0,300}c", "(.a|.b)" * 40]
    begun = time.process_time()
    for pattern in hostile:
        try:
            cost_of(f"^{pattern}x")
        except ValueError:
            continue
    assert time.process_time() - begun < 1
