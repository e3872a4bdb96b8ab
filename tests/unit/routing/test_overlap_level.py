from __future__ import annotations

from routing_cases import candidate

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.meaning import Route
from flowproxy.routing.overlap_level import INFORMATION, WARNING, level_of

PORTS = frozenset({"80", "443"})


def route_of(**parameters: str) -> Route:
    (route,) = compile_routes([candidate("web", 0, **parameters)]).routes
    return route


def test_a_longer_path_is_information_within_a_stack_and_a_warning_between_stacks() -> None:
    longer, shorter = route_of(serviceDomain="a.org", servicePath="/a"), route_of(serviceDomain="a.org")

    assert level_of(longer, shorter, same_owner=True, ports=PORTS) == (
        INFORMATION,
        "its path is longer, and both are of one stack",
    )
    assert level_of(longer, shorter, same_owner=False, ports=PORTS)[0] == WARNING


def test_a_condition_that_nearly_every_request_fulfils_is_always_a_warning() -> None:
    plain = route_of(servicePath="/")
    for parameters in ({"userAgent": "Mozilla/5.0 ("}, {"serviceHeader": "Connection:close"}, {"srcPort": "80"}):
        level, reason = level_of(route_of(servicePath="/", **parameters), plain, same_owner=True, ports=PORTS)
        assert (level, reason.partition(":")[0]) == (WARNING, "its condition holds for nearly every request")
    rare = route_of(servicePath="/", userAgent="amiga")
    assert level_of(rare, plain, same_owner=True, ports=PORTS)[0] == INFORMATION
