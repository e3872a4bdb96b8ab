"""What answers say of services, routes and URLs."""

from __future__ import annotations

from unittest.mock import Mock

from flowproxy.api.descriptions import (
    accepted,
    done,
    explanation,
    refusal,
    route_fields,
    service_answer,
    service_fields,
)
from flowproxy.control.outcome import Outcome
from flowproxy.haproxy.commands import ServerHealth
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match
from flowproxy.routing.overlap_level import WARNING
from flowproxy.routing.overlaps import Overlap
from flowproxy.routing.table import RouteTable
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}


def table_of(*services: dict[str, str]) -> RouteTable:
    return compile_routes([Candidate(parse(given), age) for age, given in enumerate(services)])


def test_a_service_is_shown_as_it_was_asked_for_without_secrets() -> None:
    given = {
        "users": "me:swordfish",
        "serviceHeader": "X-Version:1,X-Token:swordfish",
        "setReqHeader": "Authorization swordfish",
        "reqPathSearchReplace": "/a,/b:/c,/d",
        "userAgent": "one,two",
        "httpsRedirectCode": "301",
        "checkTcp": "true",
    }
    shown = service_fields(parse(WEB | given)).model_dump(by_alias=True)
    (destination,) = shown["ServiceDest"]

    assert "swordfish" not in str(shown)
    assert (shown["ServiceName"], shown["Users"], shown["IsGlobal"], shown["Replicas"]) == ("web", [], True, 0)
    assert shown["SetReqHeader"] == ["Authorization (hidden)"]
    assert destination["ServiceHeader"] == {"x-version": "1", "x-token": "(hidden)"}
    assert (destination["Port"], destination["HttpsRedirectCode"], destination["HttpsPort"]) == ("80", "301", 0)
    assert destination["ReqPathSearchReplace"] == "/a,/b:/c,/d"
    assert destination["ReqPathSearchReplaceFormatted"] == ["/a,/b", "/c,/d"]
    assert destination["UserAgent"] == {"Value": ["one", "two"], "AclName": ""}
    assert destination["CheckTCP"] is True


def test_destinations_are_numbered_as_they_were_given() -> None:
    given = {"serviceName": "web", "servicePath.1": "/a", "port.1": "1", "servicePath.3": "/b", "port.3": "2"}

    assert [d.index for d in service_fields(parse(given | {"replicas": "2"})).service_dest] == [1, 3]


def test_a_call_is_done_or_refused() -> None:
    assert (done().status, done("as you say").message) == ("OK", "as you say")
    assert done("", parse(WEB)).service_name == "web"
    no = refusal("port: is missing", "web")
    assert (no.status, no.message, no.service_name, no.service_dest) == ("NOK", "port: is missing", "web", [])


def test_a_call_that_lost_a_route_is_told_to_whom() -> None:
    twin = parse(WEB | {"serviceName": "twin"})
    table = table_of(WEB, WEB | {"serviceName": "twin"})

    answer = accepted(twin, table, [])
    assert answer.message == "the route */ is served by service web, which is older"
    assert [conflict.model_dump() for conflict in answer.conflicts] == [
        {"route": "*/", "winner": "web", "loser": "twin"}
    ]
    assert accepted(parse(WEB), table, []).message == ""


def test_a_message_has_five_remarks_at_most() -> None:
    overlaps = [Overlap("web", f"/{n}", "other", "/", WARNING, "because") for n in range(150)]

    answer = accepted(parse(WEB), table_of(WEB), overlaps)
    assert answer.message.count("takes requests from") == 5
    assert answer.message.endswith("; and 145 more")
    assert len(answer.overlaps) == 100


def test_what_became_of_a_service() -> None:
    table = table_of(WEB)
    entry = Entry(parse(WEB | {"servicPath": "/x"}), Origin.API, 1.5, WEB | {"apiKey": "swordfish"}, stack="shop")
    configuration = Mock(servers={"web-be80_0": [Mock(socket_address="10.0.0.1:80")]})
    configuration.servers["web-be80_0"][0].name = "web.1"

    answer = service_answer("web", entry, Outcome(table=table, configuration=configuration), "no task runs", [])
    assert (answer.origin, answer.created, answer.stack) == ("api", 1.5, "shop")
    assert answer.parameters["apiKey"] == "(hidden)"
    assert answer.ignored == ["servicPath"]
    assert answer.warnings[0] == "no task runs"
    assert answer.servers == {"web-be80_0": ["web.1 10.0.0.1:80"]}
    assert [(route.host, route.path, route.service) for route in answer.routes] == [("*", "/", "web")]


def test_a_service_that_was_never_right_has_only_its_error() -> None:
    answer = service_answer("web", None, Outcome(quarantined={"web": "port: is missing"}), None, [])

    assert (answer.origin, answer.created, answer.parameters, answer.error) == (None, None, {}, "port: is missing")


def test_an_explanation_says_which_route_answers_and_how_its_servers_are() -> None:
    outcome = Outcome(table=table_of(WEB, WEB | {"serviceName": "api", "servicePath": "/api"}))
    asked = Request("example.org", "/api/x", 80)
    chosen = match(outcome.table.routes, asked)
    assert chosen is not None
    up, down = ServerHealth("a", "10.0.0.1:80", "UP", ""), ServerHealth("a", "10.0.0.1:80", "DOWN", "refused")

    reasons = {
        "is */api": [up, down],
        "none of its servers is up": [down],
        "HAProxy does not answer": None,
        "service api has no server: no task of it is known to run": [],
    }
    for reason, servers in reasons.items():
        found = explanation("http://me:swordfish@example.org/api/x", asked, chosen, servers, outcome, None)
        assert found.reason.endswith(reason)
        assert found.url == "http://(hidden)@example.org/api/x"
        assert found.route == route_fields(chosen)
        assert [other.service for other in found.others] == ["web"]


def test_where_nothing_matches_the_refused_and_the_other_routes_of_the_host_are_listed() -> None:
    table = table_of(WEB | {"serviceDomain": "example.org", "servicePath": "/web"})
    outcome = Outcome(table=table, quarantined={"api": "port: is missing"})

    found = explanation("http://example.org/api", Request("example.org", "/api", 80), None, [], outcome, None)
    assert found.reason == "no route matches; the answer is 503"
    assert found.refused == {"api": "port: is missing"}
    assert [other.path for other in found.others] == ["/web"]
