"""Redirects to HTTPS and from other domains, and plain HTTP that is denied."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from controller import Answer, Controller
from featured import PLAIN, configuration, cost, lines

from flowproxy.errors import InvalidService
from flowproxy.features import Change, Defaults
from flowproxy.services.parse import parse

Web = Callable[..., Answer]


def test_plain_requests_are_redirected() -> None:
    assert lines({"httpsOnly": "true"}) == ["http-request redirect scheme https if !{ ssl_fc }"]


def test_the_status_of_redirects_is_looked_up() -> None:
    given = {"httpsOnly": "true", "httpsRedirectCode": "308"}

    assert lines(given) == [
        "http-request set-var(txn.flowproxy.code) be_name,concat(|httpsRedirectCode),map_str(maps/values.map)"
        " if !{ ssl_fc }",
        *(
            f"http-request redirect scheme https code {code}"
            f" if !{{ ssl_fc }} {{ var(txn.flowproxy.code) -m str {code} }}"
            for code in (301, 303, 307, 308)
        ),
        "http-request redirect scheme https if !{ ssl_fc }",
    ]
    assert configuration(given).maps["values"] == {"web-be80_0|httpsRedirectCode": "308"}
    assert cost(given, {**given, "httpsRedirectCode": "302"}) is Change.MAP
    assert lines({"httpsRedirectCode": "308"}) == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_each_status_is_answered_without_a_reload(controller: Controller, web: Web, code: int) -> None:
    web("moved", httpsOnly="true", httpsRedirectCode="301")
    reloads = controller.status["reloads"]
    web("moved", httpsOnly="true", httpsRedirectCode=str(code))
    answer = controller.get("/moved?x", host="a.org")

    assert (answer.status, answer.headers["location"]) == (code, "https://a.org/moved?x")
    assert controller.status["reloads"] == reloads


def test_another_target_is_no_reload_and_without_its_entry_nobody_is_redirected(
    controller: Controller, web: Web
) -> None:
    given = {"servicePath": "/", "redirectFromDomain": "old.org,*.old.net"}
    web("named", serviceDomain="new.org", **given)
    reloads = controller.status["reloads"]
    web("named", serviceDomain="newer.org", **given)

    for host in ("old.org", "x.old.net"):
        answer = controller.get("/a?b", host=host)
        assert (answer.status, answer.headers["location"]) == (301, "http://newer.org/a?b")
    assert controller.get("/", host="newer.org").status == 200
    assert controller.status["reloads"] == reloads
    controller.ask("clear map maps/values.map")
    assert controller.get("/", host="old.org").status == 200


def test_plain_requests_are_denied() -> None:
    assert lines({"denyHttp": "true"}) == ["http-request deny if !{ ssl_fc }"]


def test_requests_that_a_proxy_received_over_http_are_redirected() -> None:
    when, unless = lines({"redirectWhenHttpProto": "true", "redirectUnlessHttpsProto": "true"})

    assert when.endswith("if !{ ssl_fc } { var(txn.scheme) -m str http }")
    assert unless.endswith("if !{ ssl_fc } !{ var(txn.scheme) -m str https }")


def test_it_is_said_that_any_client_may_send_what_is_believed() -> None:
    service = parse({**PLAIN, "redirectWhenHttpProto": "true"}, Defaults(proxies_known=False))

    assert "FLOWPROXY_TRUSTED_PROXIES" in service.warnings[0]


def test_other_domains_are_redirected_to_the_first() -> None:
    given = {"serviceDomain": "a.org,b.org", "redirectFromDomain": "c.org"}
    target, secure, plain = lines(given)

    assert target.startswith("http-request set-var(txn.flowproxy.to) be_name,concat(|redirectTo)")
    assert secure.startswith("http-request redirect code 301 prefix https://%[var(txn.flowproxy.to)] if { ssl_fc } {")
    assert plain.startswith("http-request redirect code 301 prefix http://%[var(txn.flowproxy.to)] if { req.hdr(host)")
    assert configuration(given).maps["values"] == {"web-be80_0|redirectTo": "a.org"}


def test_a_target_that_is_no_name_is_written_as_it_is() -> None:
    secure, plain = lines({"serviceDomain": "*.a.org", "redirectFromDomain": "c.org"})

    assert "prefix https://*.a.org" in secure
    assert "prefix http://*.a.org" in plain


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("httpsRedirectCode", "200"),
        ("redirectFromDomain", "*old.org"),
        ("redirectFromDomain", "a b"),
        ("denyHttp", "yes"),
    ],
)
def test_other_values_are_refused(parameter: str, value: str) -> None:
    with pytest.raises(InvalidService, match=parameter):
        parse({**PLAIN, "serviceDomain": "a.org", parameter: value})
