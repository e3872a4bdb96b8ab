"""Clients that must show a certificate."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.features import Defaults
from flowproxy.services.parse import parse


def test_a_request_without_a_valid_certificate_is_denied() -> None:
    assert lines({"verifyClientSsl": "true"}) == ["http-request deny unless { ssl_c_used } { ssl_c_verify 0 }"]


def test_it_is_refused_where_haproxy_asks_for_no_certificate() -> None:
    with pytest.raises(InvalidService, match="CA_FILE"):
        parse({**PLAIN, "verifyClientSsl": "true"}, Defaults(client_certificates=False))


@pytest.mark.parametrize(("name", "value"), [("verifyClientSsl", "maybe"), ("mtls", "true"), ("clientCert", "true")])
def test_what_is_not_understood_closes_the_route(name: str, value: str) -> None:
    with pytest.raises(InvalidService, match=name):
        parse({**PLAIN, name: value})
