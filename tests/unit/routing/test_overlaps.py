"""Routes that take requests from routes of other services."""

from __future__ import annotations

import statistics
import time

import pytest
from hypothesis import given, settings
from routing_cases import CANDIDATES, REQUESTS, described_candidates
from support import rounds

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match
from flowproxy.routing.overlap_level import INFORMATION, WARNING
from flowproxy.routing.overlaps import Overlap, Overlaps, Reported
from flowproxy.routing.table import RouteTable
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse

HOST = {"serviceDomain": "example.org"}


def table_of(*described: dict[str, str]) -> RouteTable:
    """Return the table of services, the oldest first; `stack` is not a parameter."""
    candidates = []
    for created, asked in enumerate(described):
        own = {key: value for key, value in asked.items() if key != "stack"}
        candidates.append(Candidate(parse({"port": "80", **own}), created, asked.get("stack", "")))
    return compile_routes(candidates)


def found(*described: dict[str, str]) -> list[Overlap]:
    return list(Overlaps([80, 443]).all(table_of(*described)))


def pairs(*described: dict[str, str]) -> set[tuple[str, str, str, str]]:
    return {(o.taker, o.route, o.loser, o.from_route) for o in found(*described)}


def level(older: dict[str, str], younger: dict[str, str], *, stacks: tuple[str, str] = ("a", "a")) -> str | None:
    """Return the level of the overlap in which the younger service takes requests from the older one."""
    overlaps = found(
        {"serviceName": "older", "stack": stacks[0], **older}, {"serviceName": "younger", "stack": stacks[1], **younger}
    )
    return next((o.level for o in overlaps if o.taker == "younger"), None)


@pytest.mark.parametrize(
    "younger",
    [
        {"servicePathExclude": "/zzz"},
        {"pathType": "path_reg", "servicePath": ".*"},
        {"pathType": "path_reg", "servicePath": "."},
        {"pathType": "path_reg", "servicePath": "^/"},
        {"pathType": "path_reg", "servicePath": "^/[a-z]*"},
        {"pathType": "path_reg", "servicePath": "^(?!/zzz)"},
        {"pathType": "path_reg", "servicePath": "zzz|.+"},
        {"pathType": "path_sub", "servicePath": "/"},
        {"pathType": "path_beg -i", "servicePath": "/"},
        {"userAgent": "/"},
        {"userAgent": "mozilla"},
        {"srcPort": "80"},
        {"serviceHeader": "Host:example.org"},
    ],
)
def test_a_condition_that_nearly_always_holds_is_a_warning_within_one_stack(younger: dict[str, str]) -> None:
    assert level({**HOST, "servicePath": "/"}, {**HOST, "servicePath": "/", **younger}) == WARNING


@pytest.mark.parametrize(
    "younger",
    [
        {"servicePath": "/api"},
        {"servicePath": "/", "userAgent": "amiga"},
        {"servicePath": "/", "serviceHeader": "X-Version:3"},
        {"servicePath": "/", "srcPort": "8081"},
        {"pathType": "path_reg", "servicePath": "^/v[0-9]+/"},
        {"pathType": "path_end", "servicePath": ".png"},
        {"servicePath": "/api", "servicePathExclude": "/api/internal"},
    ],
)
def test_being_more_specific_is_information_within_one_stack_and_a_warning_between_two(
    younger: dict[str, str],
) -> None:
    older = {**HOST, "servicePath": "/"}

    assert level(older, {**HOST, **younger}) == INFORMATION
    assert level(older, {**HOST, **younger}, stacks=("a", "b")) == WARNING
    assert level(older, {**HOST, **younger}, stacks=("", "")) == WARNING


def test_a_route_for_any_request_gives_way_without_a_warning() -> None:
    rest = {"servicePath": "/"}

    assert level(rest, HOST, stacks=("a", "b")) == INFORMATION
    assert level(rest, {"serviceDomain": "*.example.org"}, stacks=("a", "b")) == INFORMATION
    assert level(rest, {"servicePath": "/shop"}, stacks=("a", "b")) == INFORMATION
    assert level(rest, {"servicePath": "/", "userAgent": "amiga"}, stacks=("a", "b")) == WARNING
    assert level(rest, {"servicePath": "/.well-known/acme-challenge/"}, stacks=("a", "b")) == WARNING


def test_a_default_backend_loses_nothing() -> None:
    assert not found({"serviceName": "rest", "isDefaultBackend": "true"}, {"serviceName": "web", **HOST})


def test_requests_are_taken_from_the_next_specific_route() -> None:
    assert pairs(
        {"serviceName": "any", "servicePath": "/"},
        {"serviceName": "below", "serviceDomain": "*.example.org"},
        {"serviceName": "host", "serviceDomain": "a.example.org"},
        {"serviceName": "api", "serviceDomain": "a.example.org", "servicePath": "/api"},
        {"serviceName": "v1", "serviceDomain": "a.example.org", "servicePath": "/api/v1"},
    ) == {
        ("v1", "a.example.org/api/v1", "api", "a.example.org/api"),
        ("api", "a.example.org/api", "host", "a.example.org/"),
        ("host", "a.example.org/", "below", "*.example.org/"),
        ("below", "*.example.org/", "any", "*/"),
    }


def test_longer_paths_of_a_wildcard_or_of_any_host_lose_too() -> None:
    assert pairs(
        {"serviceName": "any", "servicePath": "/metrics"},
        {"serviceName": "below", "serviceDomain": "*.example.org", "servicePath": "/api"},
        {"serviceName": "host", "serviceDomain": "a.example.org"},
    ) == {
        ("host", "a.example.org/", "below", "*.example.org/api"),
        ("host", "a.example.org/", "any", "*/metrics"),
    }


def test_losers_are_named_up_to_the_first_without_a_condition() -> None:
    got = pairs(
        {"serviceName": "victim", **HOST},
        {"serviceName": "decoy", **HOST, "userAgent": "amiga"},
        {"serviceName": "taker", **HOST, "userAgent": "mozilla", "serviceHeader": "X-A:1"},
    )

    assert {(taker, loser) for taker, _, loser, _ in got} == {
        ("taker", "decoy"),
        ("taker", "victim"),
        ("decoy", "victim"),
    }


def test_a_service_takes_nothing_where_its_own_other_route_would_serve() -> None:
    both = {"servicePath.1": "/a", "userAgent.1": "amiga", "servicePath.2": "/a"}

    assert pairs({"serviceName": "rest", **HOST, "servicePath": "/"}, {"serviceName": "both", **HOST, **both}) == {
        ("both", "example.org/a", "rest", "example.org/")
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"serviceHeader": "X-Version:1"}, {"serviceHeader": "X-Version:2,X-Other:1"}),
        ({"srcPort": "80"}, {"srcPort": "443", "userAgent": "amiga"}),
        ({"servicePath": "/", "servicePathExclude": "/api"}, {"servicePath": "/api"}),
        ({"servicePath": "/a", "pathType": "path"}, {"servicePath": "/a/b"}),
        ({"serviceDomain": "a.org"}, {"serviceDomain": "b.org"}),
        ({"serviceDomain": "*.a.org"}, {"serviceDomain": "a.org"}),
        ({"serviceDomain": "b.org", "serviceDomainAlgo": "hdr_end(host)"}, {"serviceDomain": "x.a.org"}),
    ],
)
def test_routes_without_a_request_in_common_do_not_overlap(one: dict[str, str], other: dict[str, str]) -> None:
    given = {"servicePath": "/", **HOST}

    assert not found({"serviceName": "one", **given, **one}, {"serviceName": "other", **given, **other})


def test_equal_routes_are_a_conflict_and_not_an_overlap() -> None:
    assert not found({"serviceName": "one", **HOST}, {"serviceName": "other", **HOST})


def test_the_overlaps_of_one_service_are_among_those_of_all() -> None:
    described = [
        {"serviceName": "any", "servicePath": "/"},
        {"serviceName": "metrics", "servicePath": "/metrics"},
        {"serviceName": "below", "serviceDomain": "*.example.org"},
        {"serviceName": "deeper", "serviceDomain": "*.a.example.org", "servicePath": "/x"},
        {"serviceName": "ends", "serviceDomain": "ample.org", "serviceDomainAlgo": "hdr_end(host)"},
        {"serviceName": "host", "serviceDomain": "a.example.org,b.a.example.org"},
        {"serviceName": "api", "serviceDomain": "b.a.example.org", "servicePath": "/x/y", "userAgent": "amiga"},
    ]
    table, overlaps = table_of(*described), Overlaps([80])
    everything = overlaps.all(table)

    assert len(everything) > 8
    for name in table.parts:
        assert set(overlaps.of(table, name)) == {o for o in everything if name in (o.taker, o.loser)}


def test_each_pair_is_reported_once_when_it_appears() -> None:
    overlaps, reported = Overlaps([80]), Reported()
    rest, api = {"serviceName": "rest", **HOST}, {"serviceName": "api", **HOST, "servicePath": "/api"}
    both = {**api, "servicePath": "/api,/v2"}

    assert not reported.new(overlaps, table_of(rest))
    assert [str(overlap) for overlap in reported.new(overlaps, table_of(rest, api))] == [
        "the route example.org/api of service api takes requests from example.org/ of service rest: its path is longer,"
        " and they are of different stacks"
    ]
    assert not reported.new(overlaps, table_of(rest, both))
    assert not reported.new(overlaps, table_of(rest))
    assert len(reported.new(overlaps, table_of(rest, api))) == 1


def test_ten_thousand_services_are_searched_quickly() -> None:
    described = [
        {"serviceName": f"s{n}", "serviceDomain": f"h{n // 4}.example.org", "servicePath": f"/{n % 4 or ''}"}
        for n in range(10_000)
    ]
    table, overlaps = table_of(*described), Overlaps([80])
    overlaps.of(table, "s1")  # sorts the keys
    costs = []
    for name, count in (("s1", 1), ("s4", 3), ("s9999", 1)):
        began = time.process_time()
        assert len(overlaps.of(table, name)) == count
        costs.append(time.process_time() - began)
    began = time.process_time()
    assert len(overlaps.all(table)) == 7500

    assert time.process_time() - began < 1
    assert statistics.median(costs) < 0.005


@pytest.mark.longer
@settings(max_examples=rounds(250, soak=4000), deadline=None)
@given(CANDIDATES, REQUESTS)
def test_the_route_that_would_get_a_request_otherwise_is_named(
    described: list[dict[str, str]], request: Request
) -> None:
    table = compile_routes(described_candidates(described))
    served = [route for here in table.places.values() for route in here]
    first = match(served, request)
    second = match((route for route in served if route is not first), request)

    if first and second and not second.is_default and first.service != second.service:
        found = Overlaps([80]).all(table)
        assert (first.service, str(first), second.service) in {(o.taker, o.route, o.loser) for o in found}
