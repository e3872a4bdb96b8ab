"""Redirects to HTTPS and from other domains, and plain HTTP that is denied."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.features import Defaults
from flowproxy.services.parse import parse


def test_plain_requests_are_redirected() -> None:
    assert lines({"httpsOnly": "true", "httpsRedirectCode": "308"}) == [
        "http-request redirect scheme https code 308 if !{ ssl_fc }"
    ]


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
    secure, plain = lines({"serviceDomain": "a.org,b.org", "redirectFromDomain": "c.org"})

    assert secure.startswith("http-request redirect code 301 prefix https://a.org if { ssl_fc }")
    assert plain.startswith("http-request redirect code 301 prefix http://a.org if { req.hdr(host)")


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
