from __future__ import annotations

import pytest
from routing_cases import candidate, route

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Condition, Request, compares


def test_an_excluded_path_goes_to_the_next_route() -> None:
    services = [
        candidate("demo", servicePath="/demo", servicePathExclude="/demo/hello"),
        candidate("all", servicePath="/"),
    ]

    assert route(services, "x.org/demo/other") == "demo"
    assert route(services, "x.org/demo/hello/you") == "all"


def test_the_port_of_a_request_can_decide() -> None:
    services = [candidate("two", servicePath_1="/", srcPort_1="80", servicePath_2="/", srcPort_2="8081", port_2="81")]

    assert compile_routes(services).backends[0].name == "two-be80_1"
    assert route(services, "x.org/", 80) == "two"
    assert route(services, "x.org/", 8082) is None


def test_other_ways_to_compare_paths() -> None:
    services = [
        candidate("exact", servicePath="/one", pathType="path"),
        candidate("expression", servicePath="^/r[0-9]+", pathType="path_reg"),
        candidate("ending", servicePath=".PNG", pathType="path_end -i"),
        candidate("rest", servicePath="/"),
    ]

    assert route(services, "x.org/one") == "exact"
    assert route(services, "x.org/one/more") == "rest"
    assert route(services, "x.org/r12") == "expression"
    assert route(services, "x.org/path_reg") == "rest"
    assert route(services, "x.org/a.png") == "ending"


def test_other_ways_to_compare_domains() -> None:
    services = [
        candidate("beginning", serviceDomain="any.com", serviceDomainAlgo="hdr_beg(host)"),
        candidate("part", serviceDomain="al.com", serviceDomainMatchAll="true"),
        candidate("ending", serviceDomain="*domain-1"),
        candidate("path", servicePath="/longer"),
    ]

    assert route(services, "any.com.evil.org/") == "beginning"
    assert route(services, "www.any.com/") is None
    assert route(services, "www.al.com/longer") == "part"
    assert route(services, "wwwal.com/") is None
    assert route(services, "my-domain-1/") == "ending"
    assert route(services, "other.org/longer/x") == "path"


@pytest.mark.parametrize(
    ("how", "text", "values", "expected"),
    [
        ("str", "/a", ("/b", "/a"), True),
        ("str -i", "/A", ("/a",), True),
        ("beg", "/ab", ("/a",), True),
        ("end", "/a.png", (".jpg", ".png"), True),
        ("sub", "/xay", ("a",), True),
        ("sub", "/xay", ("b",), False),
        ("dir", "/x/a/y", ("a",), True),
        ("dir", "/x/ab/y", ("a",), False),
        ("dom", "www.a.org", ("a",), True),
        ("dom", "wwwa.org", ("a",), False),
        ("reg", "/a1", ("^/a[0-9]",), True),
        ("reg -i", "/A1", ("^/a[0-9]",), True),
        ("reg", "/a1", ("^/(?!b)",), False),
    ],
)
def test_values_are_compared_as_haproxy_does(how: str, text: str, values: tuple[str, ...], expected: bool) -> None:
    assert compares(how, text, values) == expected


def test_a_condition_on_the_normal_form_does_not_hold_without_one() -> None:
    request = Request("a.org", "/a%00")

    assert request.normal is None
    assert not Condition("normal", "beg", ("/",)).holds(request)
    assert not Condition("normal-outside", "beg", ("/b",)).holds(request)


def test_a_condition_reads_as_text_without_secrets() -> None:
    assert str(Condition("header", "x-a", ("1",))) == "header x-a: 1"
    assert "swordfish" not in str(Condition("header", "authorization", ("swordfish",)))
    assert str(Condition("outside", "beg", ("/a", "/b"))) == "path not beg /a or /b"
    assert str(Condition("host", "end -i", (".org",))) == "host end -i .org"


def test_only_patterns_that_our_engine_does_not_know_are_left_to_haproxy() -> None:
    condition = Condition("path", "reg", ("^/a", "^/(?!b)"))

    assert list(condition.unevaluated()) == ["^/(?!b)"]
    assert condition.steps > 0
    assert Condition("path", "beg", ("^/(?!b)",)).unevaluated() == []
