"""Whose certificate is shown for a name."""

from __future__ import annotations

import pytest
from certificates import make_certificate

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.service_certificates import with_those_of_services
from flowproxy.routing.table import FOLDER, NO_SERVICE
from flowproxy.services.certificate import in_order, read_certificate
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse


def shown(
    *described: dict[str, str], folder: tuple[str, ...] = (), preferred: tuple[str, ...] = ()
) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The names of the certificates in their order, and the conflicts. `cert` is a list of names; services are given
    from the older to the younger."""
    candidates = []
    for created, given in enumerate(described):
        parameters = {"port": "80", **given}
        if names := parameters.pop("cert", None):
            parameters["serviceCert"] = make_certificate(*names.split(","))[0]
        candidates.append(Candidate(parse(parameters), created))
    given_ones = {f"{name}.pem": read_certificate(f"{name}.pem", make_certificate(name)[0]) for name in folder}
    table = compile_routes(candidates)
    certificates, conflicts = with_those_of_services(given_ones, reversed(candidates), table)
    return in_order(certificates.values(), preferred), [
        (c.route.removeprefix("the certificate for "), c.winner, c.loser) for c in conflicts
    ]


A = {"serviceName": "a", "serviceDomain": "a.org"}
WILD = {"serviceName": "wild", "serviceDomain": "*.a.org"}
B = {"serviceName": "b", "serviceDomain": "b.org"}


@pytest.mark.parametrize(
    ("service", "cert"),
    [
        (A, "a.org"),
        (A | {"serviceDomain": "a.org,www.a.org"}, "a.org,www.a.org"),
        (WILD, "*.a.org"),
        (WILD, "www.a.org"),
        (WILD, "x.y.a.org"),
        (A | {"servicePath": "/", "httpsPort": "8443"}, "a.org"),
        ({"serviceName": "all", "servicePath": "/"}, "a.org,*.b.org"),
    ],
)
def test_a_certificate_is_shown_for_names_whose_route_the_service_has(service: dict[str, str], cert: str) -> None:
    names, conflicts = shown(service | {"cert": cert})

    assert len(names) == 1
    assert conflicts == []


@pytest.mark.parametrize(
    ("service", "cert", "refused"),
    [
        (A, "a.org,www.a.org", "www.a.org"),
        (A, "*.a.org", "*.a.org"),
        (WILD, "a.org", "a.org"),
        (WILD, "*.org", "*.org"),
        (A, "!a.org", "!a.org"),
        (A, "*", "*"),
        (A | {"servicePath": "/api"}, "a.org", "a.org"),
        (A | {"pathType": "path_reg", "servicePath": "^/"}, "a.org", "a.org"),
        (A | {"serviceDomainAlgo": "hdr_end(host)"}, "a.org", "a.org"),
    ],
)
def test_a_certificate_is_not_shown_for_names_without_a_route(service: dict[str, str], cert: str, refused: str) -> None:
    names, conflicts = shown(service | {"cert": cert})

    assert names == []
    assert conflicts == [(refused, NO_SERVICE, service["serviceName"])]


@pytest.mark.parametrize(
    "younger",
    [
        {},
        {"serviceHeader": "X-A:1"},
        {"servicePath": "/", "servicePathExclude": "/zzz"},
        {"servicePath": "/", "srcPort": "443"},
        {"servicePath": "/long/path"},
        {"servicePath": "/.well-known/acme-challenge/"},
        {"serviceDomain": "b.org,a.org"},
    ],
)
@pytest.mark.parametrize("older", [A, A | {"servicePath": "/", "serviceHeader": "X-B:1"}])
def test_a_certificate_is_not_shown_for_names_of_an_older_service(
    older: dict[str, str], younger: dict[str, str]
) -> None:
    names, conflicts = shown(older, A | {"serviceName": "late", "servicePath": "/", "cert": "a.org"} | younger)

    assert names == []
    assert conflicts == [("a.org", "a", "late")]


def test_a_certificate_below_the_wildcard_of_another_service_is_not_shown() -> None:
    login = {"serviceName": "login", "serviceDomain": "login.a.org", "cert": "login.a.org"}

    assert shown(login, folder=("*.a.org",)) == (["*.a.org.pem"], [("login.a.org", FOLDER, "login")])
    assert shown(WILD | {"cert": "*.a.org"}, login) == (["*.a.org"], [("login.a.org", "wild", "login")])
    assert shown(login, WILD | {"cert": "*.a.org"}) == (["login.a.org", "*.a.org"], [])
    deep = {"serviceName": "deep", "serviceDomain": "x.login.a.org", "cert": "x.login.a.org"}
    assert shown(deep, folder=("*.a.org",)) == (["*.a.org.pem", "x.login.a.org"], [])
    assert shown(login | {"cert": ""}, WILD | {"cert": "login.a.org"}) == ([], [("login.a.org", "login", "wild")])


def test_the_folder_goes_before_services_and_older_services_before_younger() -> None:
    services = [
        {"serviceName": name, "serviceDomain": f"{name}.org", "cert": f"{name}.org"} for name in ("z", "m", "a")
    ]

    assert shown(*services)[0] == ["z.org", "m.org", "a.org"]
    assert shown(*services, folder=("zz.org", "y.org"))[0] == ["y.org.pem", "zz.org.pem", "z.org", "m.org", "a.org"]
    assert shown(*services, folder=("zz.org",), preferred=("a*",))[0] == ["a.org", "zz.org.pem", "z.org", "m.org"]
