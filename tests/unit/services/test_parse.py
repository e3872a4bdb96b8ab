from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowproxy.errors import InvalidService, Problem, UnroutedService
from flowproxy.features import Defaults
from flowproxy.features.matching import HeaderMatch
from flowproxy.services.model import Service
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS, deprecated, nearest, parse

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}


def test_a_path_and_a_port_make_a_destination() -> None:
    service = parse({"serviceName": "web", "servicePath": "/a,/b", "port": "8080"})

    (destination,) = service.destinations
    assert service.service_name == "web"
    assert destination.service_path == ("/a", "/b")
    assert destination.port == 8080
    assert destination.index == 0


def test_a_domain_alone_is_for_every_path() -> None:
    (destination,) = parse({"serviceName": "web", "serviceDomain": "Acme.COM,*.x.org", "port": "80"}).destinations

    assert destination.service_domain == ("acme.com", "*.x.org")
    assert destination.service_path == ("/",)


def test_indexed_parameters_are_destinations_with_the_plain_ones_as_defaults() -> None:
    service = parse({"serviceName": "web", "port": "80", "servicePath.1": "/a", "servicePath.2": "/b", "port.2": "81"})

    assert [(d.index, d.service_path, d.port) for d in service.destinations] == [(1, ("/a",), 80), (2, ("/b",), 81)]


def test_plain_parameters_are_no_destination_beside_indexed_ones() -> None:
    service = parse({"serviceName": "web", "servicePath": "/plain", "port": "80", "servicePath.1": "/a"})

    assert [d.service_path for d in service.destinations] == [("/a",)]


def test_there_is_no_limit_on_indexes_and_a_gap_ends_nothing() -> None:
    numbers = [1, 2, 4, 12, 150]
    service = parse({"serviceName": "web", "port": "80", **{f"servicePath.{n}": f"/{n}" for n in numbers}})

    assert [d.index for d in service.destinations] == numbers


def test_headers_and_agents_are_conditions() -> None:
    (destination,) = parse(WEB | {"serviceHeader": "X-Version: 3,Name:Viktor", "userAgent": "amiga"}).destinations

    assert destination.service_header == (HeaderMatch("x-version", "3"), HeaderMatch("name", "Viktor"))
    assert destination.user_agent == ("amiga",)


def test_a_header_value_may_hold_a_colon() -> None:
    (destination,) = parse(WEB | {"serviceHeader": "Referer:http://x"}).destinations

    assert destination.service_header == (HeaderMatch("referer", "http://x"),)


def test_the_separator_is_a_setting() -> None:
    (destination,) = parse(
        {"serviceName": "web", "servicePath": "/a@/b,c", "port": "80"}, Defaults(separator="@")
    ).destinations

    assert destination.service_path == ("/a", "/b,c")


def test_the_name_of_a_service_parameter_may_be_in_any_case() -> None:
    assert parse({"SERVICENAME": "web", "servicePath": "/", "port": "80"}).service_name == "web"


@pytest.mark.parametrize(
    ("parameters", "warning"),
    [
        ({"servicePath.1": "/a", "servicePath.4": "/d"}, "go up to 4, but there is none with the number 2, 3"),
        (
            {"servicePath.1": "/a", "timeoutServer.2": "10"},
            "timeoutServer.2 has no effect: a destination needs one of",
        ),
        ({"servicePath": "/a", "servicePth.1": "/b"}, "servicePth.1: is unknown; did you mean servicePath?"),
        ({"servicePath.1": "/a", "servicePath.2": "/b"}, None),
        ({"servicePath": "/a", "letsencrypt.host": "a.org"}, None),
    ],
)
def test_probable_mistakes_are_reported(parameters: dict[str, str], warning: str | None) -> None:
    service = parse({"serviceName": "web", "port": "80", **parameters})

    assert len(service.warnings) == (warning is not None)
    assert all(warning in told for told in service.warnings if warning)


def test_an_unknown_parameter_is_ignored_and_remembered() -> None:
    service = parse(WEB | {"letsencrypt.host": "x.org", "servicePth": "/x", "distribute": "true"})

    assert service.ignored == ("letsencrypt.host", "servicePth")
    assert nearest("servicePth") == "servicePath"
    assert nearest("letsencrypt.host") is None


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "serviceName: is missing"),
        ({"servicePath": "/", "port": "80"}, "serviceName: is missing"),
        ({"serviceName": "a b", "servicePath": "/", "port": "80"}, "serviceName: 'a b': must be letters"),
        ({"serviceName": "web", "servicePath": "/"}, "port: is missing"),
        ({"serviceName": "web", "servicePath.1": "/a"}, "port.1: is missing"),
        ({"serviceName": "web", "servicePth": "/", "port": "80"}, "servicePth: is unknown; did you mean servicePath?"),
        (WEB | {"port": "http"}, "port: 'http': must be a whole number"),
        (WEB | {"port": "70000"}, "port: '70000': must be at most 65535"),
        (WEB | {"servicePath": "api"}, 'write "/api"'),
        (WEB | {"servicePath": "/a b"}, "percent-encoded"),
        (WEB | {"servicePath": "/a?b=c"}, "no query string"),
        (WEB | {"servicePath": "/a\nbackend x"}, "percent-encoded"),
        (WEB | {"serviceDomain": "http://x.org"}, "is not a domain"),
        (WEB | {"serviceDomain": "x.org:80"}, "no port"),
        (WEB | {"serviceDomain": "a.*.org"}, "is not a domain"),
        (WEB | {"serviceHeader": "X-A"}, "is not of the form Name:value"),
        (WEB | {"isDefaultBackend": "maybe"}, "isDefaultBackend: 'maybe': must be true or false"),
        (WEB | {"outboundHostname": "a b"}, "is neither a host name nor an IP address"),
        (WEB | {"reqMode": "udp"}, "reqMode: 'udp': must be 'http', 'tcp' or 'sni'"),
        (WEB | {"reqMode": "tcp"}, "srcPort: is missing; give the port to listen on for tcp"),
        (WEB | {"pathType": "path_dir"}, "contains only delimiters"),
        (WEB | {"pathType": "path_beg deny"}, "is not one of path, path_beg"),
        (WEB | {"serviceDomainAlgo": "src"}, "is not one of hdr(host)"),
        (WEB | {"allowedMethods": "GET,P T"}, "is not an HTTP method"),
        (WEB | {"httpsRedirectCode": "200"}, "must be one of 301, 302"),
        (WEB | {"timeoutServer": "soon"}, "is not a time"),
        (WEB | {"reqPathSearchReplace": "/a"}, "is not of the form search,replace"),
        (WEB | {"redirectFromDomain": "old.org"}, "redirectFromDomain needs a domain to redirect to"),
        (WEB | {"addReqHeader": "X-A b\nhttp-request deny"}, "must be on one line"),
        (WEB | {"replicas": "abc"}, "replicas: 'abc'"),
        (WEB | {"serviceDomain": "a_b c"}, "serviceDomain: 'a_b c' is not a domain"),
        (WEB | {"serviceDomain": "a.org,b c"}, "serviceDomain: 'a.org,b c': 'b c' is not a domain"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidService) as error:
        parse(parameters)

    assert said in str(error.value)


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(InvalidService) as error:
        parse({"serviceName": "web", "servicePath": "api", "port": "x", "isDefaultBackend": "?"})

    assert {problem.parameter for problem in error.value.problems} == {"servicePath", "port", "isDefaultBackend"}


def test_neither_path_nor_domain_is_an_error_of_its_own() -> None:
    with pytest.raises(UnroutedService, match="servicePath: is missing; give it or serviceDomain"):
        parse({"serviceName": "web", "port": "80"})


NAMES = [*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS, "reqMode", "nonsense"]
KEYS = st.builds(lambda name, suffix: name + suffix, st.sampled_from(NAMES), st.sampled_from(["", ".1", ".2", ".x"]))


@given(st.dictionaries(KEYS, st.text() | st.sampled_from(["/", "80", "true", "a.org", "X:y", "web"])))
def test_whatever_is_given_the_answer_is_a_service_or_a_clear_error(parameters: dict[str, str]) -> None:
    service: Service | None = None
    problems: tuple[Problem, ...] = ()
    try:
        service = parse({"serviceName": "web"} | parameters)
    except InvalidService as error:
        problems = error.problems

    if service is None:
        assert problems
        assert not any("\n" in str(problem) for problem in problems)
    else:
        assert all(destination.port or destination.https_port for destination in service.destinations)


def test_old_names_mean_what_they_meant() -> None:
    old = {"addHeader": "X-A 1", "setHeader": "X-B 2", "serviceDomainMatchAll": "true", "reqPathSearch": "/a"}
    service = parse(WEB | old | {"serviceDomain": "a.org"})

    assert (service.add_req_header, service.set_req_header) == (("X-A 1",), ("X-B 2",))
    assert service.service_domain_algo == "hdr_dom(host)"
    assert service.destinations[0].req_path_search_replace == (("/a", ""),)
    assert set(deprecated(old)) == set(old)


def test_a_regular_expression_is_not_held_to_the_form_of_a_path() -> None:
    (destination,) = parse(WEB | {"servicePath": "^/r[0-9]+", "pathType": "path_reg"}).destinations

    assert destination.service_path == ("^/r[0-9]+",)


def test_tcp_needs_no_path() -> None:
    (destination,) = parse({"serviceName": "db", "reqMode": "TCP", "port": "5432", "srcPort": "5432"}).destinations

    assert (destination.req_mode, destination.src_port) == ("tcp", 5432)


@pytest.mark.parametrize("parameter", ["setReqHeader", "serviceHeader", "backendExtra", "port", "debugFormat"])
def test_an_error_does_not_quote_a_secret(parameter: str) -> None:
    with pytest.raises(InvalidService) as raised:
        parse({"serviceName": "a", "servicePath": "/", "port": "80", parameter: "x authorization sword\x01fish"})
    assert "(hidden)" in str(raised.value)
    assert "sword" not in str(raised.value)


@pytest.mark.parametrize("backwards", [False, True])
def test_of_several_spellings_the_exact_one_counts_and_the_others_are_warnings(backwards: bool) -> None:
    given = list({"serviceName": "web", "servicename": "victim", "ACLNAME": "b", "aclname": "c"}.items())
    service = parse(WEB | dict(reversed(given) if backwards else given))

    assert service.service_name == "web"
    assert service.acl_name == "b"
    assert [warning.partition(" ")[0] for warning in service.warnings] == ["aclname", "servicename"]


def test_two_spellings_of_one_value_are_no_warning() -> None:
    assert parse(WEB | {"aclName": "x", "ACLNAME": "x"}).warnings == ()


def test_a_pattern_that_a_comma_cuts_in_two_is_an_error_that_says_so() -> None:
    with pytest.raises(InvalidService, match="a comma separates patterns"):
        parse({"serviceName": "a", "servicePath": "^/x{1,3}$", "pathType": "path_reg", "port": "80"})
