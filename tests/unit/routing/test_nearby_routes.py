from __future__ import annotations

from routing_cases import candidate

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.nearby_routes import NearbyRoutes

TABLE = compile_routes(
    [
        candidate("exact", serviceDomain="www.a.org", servicePath="/x/y"),
        candidate("shorter", serviceDomain="www.a.org", servicePath="/x"),
        candidate("wildcard", serviceDomain="*.a.org", servicePath="/x/y/z"),
        candidate("any", servicePath="/"),
        candidate("elsewhere", serviceDomain="b.org", servicePath="/x"),
        candidate("other", servicePath="/other"),
    ]
)
NEARBY = NearbyRoutes(TABLE.places)
ROUTES = {route.service: route for route in TABLE.routes}


def test_less_specific_routes_are_those_of_wider_hosts_and_shorter_paths() -> None:
    assert [route.service for route in NEARBY.less_specific(ROUTES["exact"])] == ["shorter", "wildcard", "any"]


def test_more_specific_routes_are_those_of_narrower_hosts_and_longer_paths() -> None:
    found = {route.service for route in NEARBY.more_specific(ROUTES["any"])}

    assert found == {"exact", "shorter", "wildcard", "elsewhere", "other"}


def test_a_route_that_lost_a_conflict_does_not_serve() -> None:
    old, young = candidate("old", 1, servicePath="/"), candidate("young", 2, servicePath="/")
    table = compile_routes([old, young])
    nearby = NearbyRoutes(table.places)

    assert {route.service: nearby.serves(route) for route in table.routes} == {"old": True, "young": False}
