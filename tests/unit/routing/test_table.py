from __future__ import annotations

import time
from itertools import permutations
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from routing_cases import CANDIDATES, ODD_PATHS, REQUESTS, candidate, described_candidates
from support import rounds

from flowproxy.routing.table import CONDITIONAL, Request, RouteTable, compile_routes, match
from flowproxy.services.model import Candidate
from flowproxy.text.paths import normal


def route(candidates: list[Candidate], url: str, port: int = 80, **headers: str) -> str | None:
    """Where the meaning sends a request; the compiled table must agree."""
    host, slash, path = url.partition("/")
    request = Request(host, slash + path, port, {k.replace("_", "-"): v for k, v in headers.items()})
    table = compile_routes(candidates)
    chosen = match(table.routes, request)
    assert look_up(table, request) == (chosen.backend if chosen else None)
    return chosen.service if chosen else None


def look_up(table: RouteTable, request: Request) -> str | None:
    """What HAProxy does with the maps and rules, step by step (templates/frontend.cfg.j2 and rules.cfg.j2)."""

    def longest(name: str, key: str) -> str | None:
        found = [entry for entry in table.maps[name] if key.startswith(entry)]
        return table.maps[name][max(found, key=len)] if found else None

    labels = request.host.split(".")
    stages = [("exact", longest("exact", request.host + request.path))]
    for depth in table.wildcard_depths:
        if len(labels) > depth:
            stages.append(("wildcard", longest("wildcard", "." + ".".join(labels[-depth:]) + request.path)))
    stages.append(("pattern", longest("pattern", request.path)))
    stages += [("any", longest("any", request.path)), ("default", table.maps["default"].get("default"))]
    for name, value in stages:
        if value is None:
            continue
        if not value.startswith(CONDITIONAL):
            return value
        for rule in table.rules[name]:
            if rule.value == value and all(condition.holds(request) for condition in rule.conditions):
                return rule.backend
    return None


def test_a_longer_path_wins_whatever_the_names() -> None:
    services = [
        candidate("a", servicePath="/"),
        candidate("z", servicePath="/api"),
        candidate("m", servicePath="/api/v1"),
    ]

    assert route(services, "x.org/api/v1/users") == "m"
    assert route(services, "x.org/api/v2") == "z"
    assert route(services, "x.org/other") == "a"


def test_a_path_is_a_beginning_of_characters() -> None:
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


def test_more_conditions_go_first_and_fall_back() -> None:
    services = [
        candidate("old", servicePath="/"),
        candidate("beta", servicePath="/", serviceHeader="X-Beta:1"),
        candidate("both", servicePath="/", serviceHeader="X-Beta:1", userAgent="amiga"),
    ]

    assert route(services, "x.org/") == "old"
    assert route(services, "x.org/", x_beta="1") == "beta"
    assert route(services, "x.org/", x_beta="1", user_agent="An Amiga 500") == "both"


def test_a_condition_that_does_not_hold_falls_to_the_shorter_path_and_then_to_the_wider_host() -> None:
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


def test_an_excluded_path_falls_to_the_next() -> None:
    services = [
        candidate("demo", servicePath="/demo", servicePathExclude="/demo/hello"),
        candidate("all", servicePath="/"),
    ]

    assert route(services, "x.org/demo/other") == "demo"
    assert route(services, "x.org/demo/hello/you") == "all"


def test_the_port_that_a_request_came_in_on_can_decide() -> None:
    services = [candidate("two", servicePath_1="/", srcPort_1="80", servicePath_2="/", srcPort_2="8081", port_2="81")]

    assert compile_routes(services).backends[0].name == "two-be80_1"
    assert route(services, "x.org/", 80) == "two"
    assert route(services, "x.org/", 8082) is None


def test_the_default_backend_takes_what_matches_nothing() -> None:
    services = [candidate("site", servicePath="/site", isDefaultBackend="true"), candidate("api", servicePath="/api")]

    assert route(services, "x.org/anything") == "site"
    assert route(services, "x.org/api") == "api"


def test_among_equals_an_explicit_acl_name_then_age_then_the_name_decides_and_the_loser_is_told() -> None:
    old, young = candidate("z", created=1, servicePath="/"), candidate("a", created=2, servicePath="/")
    named = candidate("n", created=3, servicePath="/", aclName="01")
    twin = candidate("b", created=2, servicePath="/")

    for services in permutations([old, young, twin]):
        assert route(list(services), "x.org/") == "z"
    for services in permutations([young, twin]):
        assert route(list(services), "x.org/") == "a"
    for services in permutations([old, young, named]):
        assert route(list(services), "x.org/") == "n"
    (conflict,) = compile_routes([young, twin]).conflicts
    assert conflict == ("*/", "a", "b")


def test_services_that_share_an_acl_name_keep_backends_of_their_own() -> None:
    table = compile_routes(
        [candidate("a", servicePath="/a", aclName="x"), candidate("b", servicePath="/b", aclName="x")]
    )

    assert {backend.name for backend in table.backends} == {"x-be80_0", "http:b:80_0"}


@pytest.mark.parametrize("path", ["/", "/a", "/a/b"])
def test_nothing_matches_when_nothing_is_there(path: str) -> None:
    assert route([], f"x.org{path}") is None


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000))
@given(CANDIDATES, st.lists(REQUESTS, min_size=1, max_size=8), st.randoms())
def test_the_compiled_table_says_what_the_meaning_says(
    described: list[dict[str, str]], requests: list[Request], random: Random
) -> None:
    candidates = described_candidates(described)
    table = compile_routes(candidates)
    random.shuffle(candidates)

    assert compile_routes(candidates) == table
    for request in requests:
        chosen = match(table.routes, request)
        assert look_up(table, request) == (chosen.backend if chosen else None)


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


def test_an_https_port_is_a_backend_of_its_own_for_requests_that_came_in_on_443() -> None:
    services = [candidate("web", servicePath="/", port="80", httpsPort="8443")]
    table = compile_routes(services)

    assert [backend.name for backend in table.backends] == ["https-web-be8443_0", "web-be80_0"]
    for port, backend in ((80, "web-be80_0"), (443, "https-web-be8443_0")):
        assert look_up(table, Request("x.org", "/", port)) == backend
    assert look_up(table, Request("x.org", "/", 8080)) is None


def test_a_domain_to_redirect_from_leads_to_the_backend_that_redirects() -> None:
    assert route([candidate("web", serviceDomain="new.org", redirectFromDomain="old.org")], "old.org/any") == "web"


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


def test_seven_hundred_nested_paths_are_compiled_at_once() -> None:
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


NESTED = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"]
SPELLED = [
    *ODD_PATHS,
    "/x/../a",
    "//a/b",
    "/a/./b/c",
    "/%61",
    "/b/../a/b/c",
    "/a//b",
    "/;/a",
    "/./a/b",
    "//",
    "/a/b/..",
]


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000))
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(NESTED), min_size=1, max_size=3, unique=True),
            st.booleans(),
            st.sampled_from(["", "path", "path_sub", "path_reg"]),
        ),
        min_size=2,
        max_size=4,
    ),
    st.sampled_from(SPELLED),
)
def test_no_spelling_of_a_path_leads_to_a_less_protected_destination(
    described: list[tuple[list[str], bool, str]], path: str
) -> None:
    assume(len({is_open for _, is_open, _ in described}) == 2)
    given: dict[str, str] = {}
    for number, (paths, is_open, how) in enumerate(described, 1):
        given[f"servicePath.{number}"] = ",".join(paths)
        given[f"ignoreAuthorization.{number}"] = str(is_open).lower()
        given[f"pathType.{number}"] = how
    table = compile_routes([candidate("web", 0, **given)])
    form = normal(path)
    by_name = {backend.name: backend.destination for backend in table.backends}

    chosen = match(table.routes, Request("x.org", path))
    assert look_up(table, Request("x.org", path)) == (chosen.backend if chosen else None)
    if chosen and by_name[chosen.backend].ignore_authorization:
        assert form is not None
        plain = match(table.routes, Request("x.org", form))
        assert plain
        assert by_name[plain.backend].ignore_authorization


@pytest.mark.parametrize(
    ("opened", "protected", "path", "expected"),
    [
        ("/", "/admin", "/x", True),
        ("/", "/admin", "/admin", False),
        ("/", "/admin", "//admin", False),
        ("/", "/admin", "/x/../y", True),
        ("/public", "/", "/public/x", True),
        ("/public", "/", "/public/../x", False),
        ("/public", "/", "/public/%61", True),
        ("/,/admin/public", "/admin", "/admin/public/x", True),
        ("/,/admin/public", "/admin", "//admin/public/x", True),
        ("/,/admin/public", "/admin", "//admin/x", False),
        ("/app", "/app/admin", "/app//admin", False),
        ("/app", "/app/admin", "/app//x", True),
    ],
)
def test_the_normal_form_decides_between_destinations_as_the_path_does(
    opened: str, protected: str, path: str, expected: bool
) -> None:
    described = {"servicePath_1": opened, "ignoreAuthorization_1": "true", "servicePath_2": protected, "port_2": "81"}
    chosen = match(compile_routes([candidate("web", 0, **described)]).routes, Request("x.org", path))

    assert chosen
    assert chosen.backend.startswith("web-be80") == expected
