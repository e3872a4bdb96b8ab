from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_cases import candidate, described_candidates, look_up, route
from support import rounds

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match


def nested(first: int, last: int, step: int = 1) -> str:
    return ",".join("/" + "a" * length for length in range(first, last, step))


def test_nested_paths_of_one_destination_share_one_rule() -> None:
    table = compile_routes([candidate("web", servicePath=nested(1, 401), servicePathExclude="/aaa/not")])

    (rule,) = table.rules["any"]
    assert {str(condition) for condition in rule.conditions} == {
        "path beg /a",
        "path not beg /aaa/not",
        "normal form of the path beg /a",
        "normal form of the path not beg /aaa/not",
    }
    assert set(table.maps["any"].values()) == {rule.value}


def test_rules_grow_with_the_paths_and_not_with_their_square() -> None:
    services = [
        candidate("odd", servicePath=nested(1, 201, 2), serviceHeader="X-A:1"),
        candidate("even", servicePath=nested(2, 201, 2), userAgent="x"),
        candidate("rest", servicePath="/"),
    ]
    table = compile_routes(services)

    assert len(table.rules["any"]) == 201
    assert route(services, "x.org/" + "a" * 100, x_a="1") == "odd"
    assert route(services, "x.org/" + "a" * 99, user_agent="x") == "even"
    assert route(services, "x.org/" + "a" * 99) == "rest"


def test_paths_that_do_not_meet_share_rules_whatever_their_lengths() -> None:
    paths = ["/b", "/b/long", "/b/longer/still"]
    services = [
        candidate("one", servicePath=",".join(f"/one{path}" for path in paths), serviceHeader="X-A:1"),
        candidate("two", servicePath=",".join(f"/two{path}" for path in paths), serviceHeader="X-A:1"),
        candidate("exact", servicePath="/exact,/exact/more,/exact/more/still", pathType="path"),
    ]
    table = compile_routes(services)

    assert len(table.rules["any"]) == 3
    assert route(services, "x.org/one/b/longer", x_a="1") == "one"
    assert route(services, "x.org/exact/more") == "exact"
    assert route(services, "x.org/exact/more/or/less") is None


def test_a_route_without_conditions_is_a_rule_only_below_conditions() -> None:
    services = [
        candidate("all", servicePath="/"),
        candidate("shop", servicePath="/shop"),
        candidate("cart", servicePath="/shop/cart", serviceHeader="X-A:1"),
    ]
    table = compile_routes(services)

    assert [rule.service for rule in table.rules["any"]] == ["cart", "shop"]
    assert route(services, "x.org/shop/cart") == "shop"
    assert route(services, "x.org/shop/cart", x_a="1") == "cart"
    assert route(services, "x.org/") == "all"


def test_seven_hundred_nested_paths_are_compiled_quickly() -> None:
    services = [
        candidate("odd", servicePath=nested(1, 701, 2), servicePathExclude="/aaa/not"),
        candidate("even", servicePath=nested(2, 701, 2), servicePathExclude="/aaa/not"),
    ]
    begun = time.process_time()
    compile_routes(services)

    assert time.process_time() - begun < 0.5


NESTED = ["/" + "a" * length for length in range(1, 6)] + ["/ab", "/aab", "/b", "/"]


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "servicePath": st.lists(st.sampled_from(NESTED), min_size=1, max_size=5, unique=True).map(",".join),
                "serviceHeader": st.sampled_from(["", "X-A:1", "X-B:1"]),
                "pathType": st.sampled_from(["", "", "path", "path -i"]),
                "servicePathExclude": st.sampled_from(["", "", "/aaa"]),
            }
        ),
        max_size=5,
    ),
    st.sampled_from([*NESTED, "/aaaaaab", "/Ab", "/c"]),
    st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.just("1")),
)
def test_rules_of_nested_paths_say_what_the_meaning_says(
    described: list[dict[str, str]], path: str, headers: dict[str, str]
) -> None:
    given = [{**one, "created": "0"} for one in described]
    table = compile_routes(described_candidates(given))
    request = Request("x.org", path, headers=headers)
    chosen = match(table.routes, request)

    assert look_up(table, request) == (chosen.backend if chosen else None)
    assert compile_routes(reversed(described_candidates(given))) == table
