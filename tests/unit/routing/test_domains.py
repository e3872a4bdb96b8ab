"""A domain is a pattern only where it is compared as one; everywhere else it is checked, for it becomes a map's key."""

from __future__ import annotations

import pytest
from hostile import DOMAINS
from hypothesis import given
from routing_cases import candidate

from flowproxy.errors import InvalidService, Rejected
from flowproxy.features import Defaults
from flowproxy.haproxy.commands import commands
from flowproxy.haproxy.plan import AddEntry, Change, SetEntry
from flowproxy.rendering.configuration import map_text
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.meaning import EXACT, WILDCARD
from flowproxy.routing.ownership import HostOwners
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
SNI, REG = {"serviceDomainAlgo": "req.ssl_sni -m reg"}, {"serviceDomainAlgo": "hdr_reg(host)"}
TCP = {"reqMode": "tcp", "srcPort": "9000"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (SNI | {"serviceDomain": "a.org/x ?q"}, "is not a domain"),
        (SNI | {"serviceDomain": "a.org"}, "serviceDomainAlgo: 'req.ssl_sni -m reg': compares the names of tcp"),
        (REG | {"serviceDomain": "*"}, "is not a domain"),
        (REG | {"serviceDomain": "*.a.org/x y"}, "is not a domain"),
        (REG | {"serviceDomain": "*(a|b)"}, "is not a domain"),
        (TCP | SNI | {"serviceDomain": "*(a|b)"}, "is not a domain"),
        ({"serviceDomain": "a.org", "redirectFromDomain": "*b.org"}, "write *.b.org for all names below it"),
        ({"serviceDomain": "a.org", "redirectFromDomain": "*"}, "is not a domain"),
        ({"pathType": "req_ssl_sni -m reg"}, "pathType: 'req_ssl_sni -m reg': compares TLS server names"),
        ({"pathType": "req_ssl_sni"}, "for sni destinations alone"),
        ({"serviceDomain": ",".join("*" + ".x" * n for n in range(1, 10))}, "have 9 different numbers of labels"),
        ({"serviceDomain": "*" + ".x" * 21}, "has 21 labels behind the *; a wildcard has at most 20"),
        (
            {"serviceDomain": "a.org", "redirectFromDomain": "*" + ".x" * 21},
            "redirectFromDomain: '*" + ".x" * 21 + "': has 21 labels",
        ),
    ],
)
def test_a_domain_that_cannot_be_a_key_is_refused(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidService) as error:
        parse(WEB | parameters)

    assert said in str(error.value)


@pytest.mark.parametrize(
    "parameters",
    [
        REG | {"serviceDomain": r"^www\d\.a\.org$,*.b.org"},
        TCP | SNI | {"serviceDomain": r"^www\d\.a\.org$,*.b.org"},
        {"serviceDomain": "a.org", "redirectFromDomain": "old.org,*.old.org"},
        {"serviceDomain": ",".join("*" + ".x" * n for n in range(13, 21))},
    ],
)
def test_a_domain_that_is_compared_as_a_pattern_may_be_one(parameters: dict[str, str]) -> None:
    parse(WEB | parameters)


def test_the_algorithm_of_the_settings_for_tcp_does_not_refuse_http() -> None:
    defaults = Defaults(service_domain_algo="req.ssl_sni -m reg")

    assert parse(WEB | {"serviceDomain": "a.org"}, defaults).destinations[0].service_domain == ("a.org",)
    with pytest.raises(InvalidService, match="is not a domain"):
        parse(WEB | {"serviceDomain": "a.org/x ?q"}, defaults)


def test_a_wildcard_to_redirect_has_the_stage_and_the_key_of_a_wildcard() -> None:
    table = compile_routes([candidate("web", serviceDomain="a.org", redirectFromDomain="old.org,*.old.org")])

    assert set(table.maps[EXACT]) == {"a.org/", "old.org/"}
    assert set(table.maps[WILDCARD]) == {".old.org/"}


@given(DOMAINS)
def test_every_key_can_be_written_in_a_map(parameters: dict[str, str]) -> None:
    try:
        service = parse(WEB | parameters)
    except InvalidService:
        return
    table = compile_routes([Candidate(service, 0)])
    for entries in table.maps.values():
        lines = [line.split(" ") for line in map_text(entries).split("\n")[:-1]]
        assert {key: value for key, value in lines} == entries  # noqa: C416 - two words in each


@pytest.mark.parametrize("key", ["a b", "a\nb", "#a", "a\tb", "a\x0bb", "", "é", "a\x00"])
def test_an_entry_that_haproxy_would_read_otherwise_is_not_written(key: str) -> None:
    changes: list[Change] = [AddEntry("any", key, "web"), SetEntry("any", "/", key), SetEntry("any", key, "web")]

    for entries in ({key: "web"}, {"/": key}):
        with pytest.raises(Rejected, match="cannot stand in a map"):
            map_text(entries)
    for change in changes:
        with pytest.raises(Rejected, match="cannot stand in a map"):
            list(commands([change], set(), "/cfg/crt-list.txt"))


def test_a_service_whose_hosts_cannot_be_compared_is_the_only_one_refused() -> None:
    good = Candidate(parse(WEB | {"serviceDomain": "a.org"}), 0, "shop")
    (destination,) = good.service.destinations
    broken = destination.model_copy(update={"service_domain": ("*",)})  # parse refuses it
    service = good.service.model_copy(update={"service_name": "broken", "destinations": (broken,)})
    after = Candidate(parse(WEB | {"serviceName": "after", "serviceDomain": "a.org"}), 2, "evil")

    refused = HostOwners().refusals([good, Candidate(service, 1, "evil"), after])

    assert set(refused) == {"broken", "after"}
    assert "its hosts cannot be compared with those of others" in refused["broken"]


PUBLIC = {"servicePath.1": "/public", "ignoreAuthorization.1": "true", "port.1": "80"}
ADMIN = {"servicePath.2": "/admin", "port.2": "80"}
PROTECTED = {"serviceName": "web", "users": "a:b", "isDefaultBackend": "true"}


@pytest.mark.parametrize(
    "parameters",
    [
        PUBLIC | ADMIN,
        {"servicePath.1": "/", "port.1": "80", **ADMIN, "allowedMethods.2": "GET"},
        {"servicePath.1": "/", "port.1": "80", **ADMIN, "denyHttp.2": "true"},
    ],
)
def test_requests_that_match_nothing_bypass_no_protection(parameters: dict[str, str]) -> None:
    with pytest.raises(InvalidService, match="isDefaultBackend: leads to the first destination, which is less prot"):
        parse(PROTECTED | parameters)


def test_the_best_protected_destination_may_be_the_default() -> None:
    turned = {f"{name[:-1]}{'2' if name.endswith('1') else '1'}": value for name, value in (PUBLIC | ADMIN).items()}

    assert parse(PROTECTED | turned).is_default_backend
    assert parse({"serviceName": "web", "isDefaultBackend": "true", "servicePath": "/", "port": "80"}).warnings == ()


def test_a_default_with_excluded_paths_has_a_warning() -> None:
    service = parse(WEB | {"isDefaultBackend": "true", "servicePathExclude": "/admin"})

    assert any("those of servicePathExclude too" in warning for warning in service.warnings)
