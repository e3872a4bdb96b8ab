"""Where the requests of a service go, and which proxy the service is for."""

from __future__ import annotations

import pytest
from featured import PLAIN, configuration

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


def test_requests_go_to_another_host() -> None:
    (server,) = configuration({"outboundHostname": "10.9.8.7"}).servers["web-be80_0"]

    assert server.socket_address == "10.9.8.7:80"


def test_a_virtual_ip_is_asked_for_in_any_case() -> None:
    assert parse({**PLAIN, "discoveryType": "VIP"}).wants_virtual_ip
    assert not parse({**PLAIN, "discoveryType": "DNS"}).wants_virtual_ip


@pytest.mark.parametrize(
    ("name", "value"),
    [("outboundHostname", "10.0.0.1:80"), ("outboundHostname", "a b"), ("replicas", "-1"), ("discoveryType", "\n")],
)
def test_other_values_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidService, match=name):
        parse({**PLAIN, name: value})
