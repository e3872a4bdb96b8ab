from __future__ import annotations

import pytest
from routing_cases import candidate, route

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.meaning import covers_host, host_in_key


def test_a_longer_path_wins_whatever_the_names() -> None:
    services = [
        candidate("a", servicePath="/"),
        candidate("z", servicePath="/api"),
        candidate("m", servicePath="/api/v1"),
    ]

    assert route(services, "x.org/api/v1/users") == "m"
    assert route(services, "x.org/api/v2") == "z"
    assert route(services, "x.org/other") == "a"


def test_a_path_matches_the_beginning_character_by_character() -> None:
    assert route([candidate("h", servicePath="/h")], "x.org/hh") == "h"


def test_an_exact_host_goes_before_a_wildcard_and_a_wildcard_before_any_host() -> None:
    services = [
        candidate("any", servicePath="/deep/path"),
        candidate("wild", serviceDomain="*.acme.com"),
        candidate("wilder", serviceDomain="*.eu.acme.com"),
        candidate("exact", serviceDomain="shop.eu.acme.com", servicePath="/cart"),
    ]

    assert route(services, "shop.eu.acme.com/cart") == "exact"
    assert route(services, "shop.eu.acme.com/deep/path") == "wilder"
    assert route(services, "shop.acme.com/deep/path") == "wild"
    assert route(services, "a.b.c.acme.com/") == "wild"
    assert route(services, "acme.com/deep/path") == "any"
    assert route(services, "acme.com/") is None


def test_a_host_is_not_the_beginning_of_another() -> None:
    services = [candidate("web", serviceDomain="acme.com")]

    assert route(services, "acme.com.evil.org/") is None
    assert route(services, "www.acme.com/") is None
    assert route(services, "notacme.com/") is None


def test_more_conditions_win_and_other_requests_fall_back() -> None:
    services = [
        candidate("old", servicePath="/"),
        candidate("beta", servicePath="/", serviceHeader="X-Beta:1"),
        candidate("both", servicePath="/", serviceHeader="X-Beta:1", userAgent="amiga"),
    ]

    assert route(services, "x.org/") == "old"
    assert route(services, "x.org/", x_beta="1") == "beta"
    assert route(services, "x.org/", x_beta="1", user_agent="An Amiga 500") == "both"


def test_where_a_condition_does_not_hold_the_shorter_path_and_then_the_wider_host_get_the_request() -> None:
    services = [
        candidate("short", serviceDomain="a.acme.com", servicePath="/api", serviceHeader="X-A:1"),
        candidate("long", serviceDomain="a.acme.com", servicePath="/api/v1", serviceHeader="X-B:1"),
        candidate("wild", serviceDomain="*.acme.com", servicePath="/api/v1/users"),
        candidate("any", servicePath="/"),
    ]

    assert route(services, "a.acme.com/api/v1/users", x_b="1") == "long"
    assert route(services, "a.acme.com/api/v1/users", x_a="1") == "short"
    assert route(services, "a.acme.com/api/v1/users") == "wild"
    assert route(services, "a.acme.com/api/v2") == "any"


def test_the_default_backend_gets_requests_that_match_nothing() -> None:
    services = [candidate("site", servicePath="/site", isDefaultBackend="true"), candidate("api", servicePath="/api")]

    assert route(services, "x.org/anything") == "site"
    assert route(services, "x.org/api") == "api"


@pytest.mark.parametrize("path", ["/", "/a", "/a/b"])
def test_without_services_nothing_matches(path: str) -> None:
    assert route([], f"x.org{path}") is None


def test_a_wildcard_covers_all_names_below_it_and_not_its_own() -> None:
    assert covers_host("*.a.org", "www.a.org")
    assert covers_host("*.a.org", "x.www.a.org")
    assert not covers_host("*.a.org", "a.org")
    assert not covers_host("*.a.org", ".a.org")
    assert covers_host("", "a.org")
    assert host_in_key("*.a.org") == ".a.org"


def test_a_route_reads_as_host_and_path_with_its_conditions() -> None:
    table = compile_routes(
        [candidate("web", serviceDomain="a.org", servicePath="/x", serviceHeader="X-A:1", isDefaultBackend="true")]
    )

    assert list(map(str, table.routes)) == ["a.org/x [header x-a: 1]", "any request that matches nothing else"]
