from __future__ import annotations

import pytest
from routing_cases import candidate

from flowproxy.routing.common_requests import have_common_requests
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.meaning import Route


def route_of(**parameters: str) -> Route:
    (route,) = compile_routes([candidate("web", 0, **parameters)]).routes
    return route


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"serviceHeader": "X-A:1", "servicePath": "/a"}, {"servicePath": "/"}, True),
        ({"serviceHeader": "X-A:1", "servicePath": "/a"}, {"serviceHeader": "X-A:2", "servicePath": "/"}, False),
        ({"serviceHeader": "X-A:1", "servicePath": "/a"}, {"serviceHeader": "X-B:2", "servicePath": "/"}, True),
        ({"servicePath": "/a", "pathType": "path"}, {"servicePath": "/"}, True),
        ({"servicePath": "/a", "pathType": "path"}, {"servicePath": "/b", "pathType": "path"}, False),
        ({"serviceDomain": "a.org"}, {"serviceDomain": "*b.org"}, False),
        ({"serviceDomain": "a.org"}, {"serviceDomain": "^b", "serviceDomainAlgo": "hdr_reg(host)"}, True),
    ],
)
def test_routes_have_requests_in_common_unless_their_conditions_exclude_each_other(
    one: dict[str, str], other: dict[str, str], expected: bool
) -> None:
    assert have_common_requests(route_of(**one), route_of(**other)) == expected
