"""How HAProxy speaks to the servers of a service, and whether it checks them."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines, section

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"serviceProtocol": "h2"}, "proto h2"),
        ({"sslVerifyNone": "true"}, "ssl verify none"),
        ({"sslVerifyNone": "true", "serviceProtocol": "h2"}, "ssl verify none alpn h2"),
    ],
)
def test_servers_are_spoken_to_as_they_ask(given: dict[str, str], options: str) -> None:
    assert section(given).server_options == f"{section({}).server_options} {options}"


def test_servers_of_http_are_checked_and_those_of_tcp_on_demand() -> None:
    tcp = {"reqMode": "tcp", "srcPort": "9000"}

    assert "check inter" in section({}).server_options
    assert "check" not in section(tcp).server_options
    assert "check inter" in section({**tcp, "checkTcp": "true"}).server_options
    assert lines({**tcp, "checkTcp": "true"}) == ["option tcp-check"]


@pytest.mark.parametrize(("name", "value"), [("serviceProtocol", "h2 ssl"), ("sslVerifyNone", "no")])
def test_other_values_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidService, match=name):
        parse({**PLAIN, name: value})
