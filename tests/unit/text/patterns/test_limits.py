"""How much one service may ask for."""

from __future__ import annotations

import pytest
from routing_cases import candidate

from flowproxy.errors import InvalidService
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match
from flowproxy.services.parse import parse
from flowproxy.text.patterns.cost import search_of
from flowproxy.text.patterns.limits import LONGEST_TEXT


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


def test_the_configuration_of_a_service_is_bounded() -> None:
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
