from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_cases import candidate
from support import rounds

from flowproxy.errors import InvalidService
from flowproxy.routing.table import Request, compile_routes, match
from flowproxy.services.parse import parse
from flowproxy.text.patterns import (
    LONGEST_HOST,
    LONGEST_TEXT,
    MOST_STEPS,
    MOST_STEPS_ANY_HOST,
    cost_of,
    is_found,
    limited,
    reach_of,
    search_of,
    steps_of,
)

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
def test_what_is_refused_says_why(pattern: str, reason: str) -> None:
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


def test_the_limit_leaves_room_for_what_a_pattern_may_take() -> None:
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
def test_a_backtracking_engine_is_quick_with_what_is_accepted(start: str, piece: str, end: str, text: str) -> None:
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


def test_what_only_haproxy_can_evaluate_is_not_evaluated() -> None:
    assert is_found("^/(?!api)", "/web") is None
    assert is_found("^/[A-Z]", "/web", ignoring_case=True) is True
    assert is_found("^/[A-Z]", "/web") is False


def test_the_analysis_itself_is_quick() -> None:
    hostile = ["(.?)" * 100, "(a|b|.)" * 60, "(.*a){20}", ".{300}", "(a?|b?|.?)" * 30, "[ab]{0,300}c", "(.a|.b)" * 40]
    begun = time.process_time()
    for pattern in hostile:
        try:
            cost_of(f"^{pattern}x")
        except ValueError:
            continue
    assert time.process_time() - begun < 1


def refused(**parameters: str) -> str:
    with pytest.raises(InvalidService) as raised:
        parse({"serviceName": "web", "port": "80", **{k.replace("_", "."): v for k, v in parameters.items()}})
    return str(raised.value)


def test_patterns_of_a_service_share_a_budget() -> None:
    quadratic = {"pathType": "path_reg", "servicePath": "^/.*a.*[bc]"}

    parse({"serviceName": "web", "port": "80", "serviceDomain": "a.org", **quadratic})
    assert "servicePath: for requests to any host a service has at most" in refused(**quadratic)
    many = ",".join(f"^/.*a.*[b{i}]" for i in range(9))
    assert "begin regular expressions with ^" in refused(**{**quadratic, "servicePath": many, "serviceDomain": "a.org"})
    assert "reqPathSearchReplace: " in refused(servicePath="/", reqPathSearchReplace="(a+)+,/")
    assert "serviceDomain: " in refused(serviceDomain="(a+)+", serviceDomainAlgo="hdr_reg(host)")
    assert "servicePath.2: " in refused(pathType="path_reg", servicePath_2="(a+)+", port_2="80")
    assert "20 regular expressions" in refused(pathType="path_reg", servicePath=",".join(f"^/{i}" for i in range(21)))


def test_what_is_generated_from_a_service_is_bounded() -> None:
    paths = ",".join(f"/{i}" for i in range(100))
    hosts = ",".join(f"h{i}.org" for i in range(101))
    assert "servicePath: with every serviceDomain these are 10100 routes" in refused(
        servicePath=paths, serviceDomain=hosts
    )
    long = ",".join(f"/{i:04}{'x' * 4000}" for i in range(600))
    assert "servicePath: with every serviceDomain the routes have" in refused(servicePath=long)
    many = ",".join(f"h{i}.org" for i in range(2001))
    assert "serviceDomain: each host of a destination with" in refused(serviceDomain=many, userAgent="x")
    ports = {f"port_{i}": "80" for i in range(1, 1002)}
    assert "port: there are 1001 destinations" in refused(servicePath="/", **ports)
    agents = ",".join("x" * 100 + str(i) for i in range(200))
    assert "userAgent: a service has at most" in refused(servicePath="/", userAgent=agents)


def test_a_text_that_is_too_long_fulfils_no_condition() -> None:
    routes = compile_routes(
        [candidate("out", pathType="path_reg", servicePath="^/", servicePathExclude="^/secret")]
    ).routes
    searched = compile_routes(
        [candidate("sub", userAgent=",".join(f"a{i}" for i in range(100)), servicePath="/")]
    ).routes

    assert match(routes, Request("a.org", "/open"))
    assert not match(routes, Request("a.org", "/secret"))
    assert not match(routes, Request("a.org", "/" + "x" * LONGEST_TEXT))
    assert match(searched, Request("a.org", "/", headers={"user-agent": "a7"}))
    assert not match(searched, Request("a.org", "/", headers={"user-agent": "a7" + "x" * search_of(["a7"]).reach}))
