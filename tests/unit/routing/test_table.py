from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from routing_cases import candidate, route

from flowproxy.routing.compile import compile_routes


def test_among_equals_the_acl_name_then_the_age_then_the_name_decides_and_the_loser_has_a_conflict() -> None:
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


def test_the_holders_of_a_host_are_those_with_a_route_for_it() -> None:
    table = compile_routes(
        [
            candidate("exact", serviceDomain="www.a.org"),
            candidate("wildcard", serviceDomain="*.a.org"),
            candidate("ending", serviceDomain="*a.org"),
            candidate("expression", serviceDomain="^www", serviceDomainAlgo="hdr_reg(host)"),
            candidate("other", serviceDomain="b.org"),
            candidate("any", servicePath="/"),
        ]
    )

    assert {holder.service.service_name for holder in table.holders("www.a.org")} == {"exact", "wildcard", "ending"}
    assert {holder.service.service_name for holder in table.holders("a.org")} == {"ending"}


def test_warnings_about_routes_and_about_ports_are_listed_together() -> None:
    table = compile_routes([candidate("web", servicePath_1="/a", servicePath_2="/a", port_2="81")])

    assert len(table.warnings_of("web")) == 1
    assert replace(table, warnings={"web": ("a port",)}).warnings_of("web")[1:] == ("a port",)
    assert table.warnings_of("unknown") == ()
