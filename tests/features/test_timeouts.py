"""Timeouts of a service."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


def test_times_without_a_unit_are_seconds() -> None:
    assert lines({"timeoutServer": "7", "timeoutTunnel": "2h"}) == ["timeout server 7s", "timeout tunnel 2h"]


def test_connections_of_tcp_have_them_too() -> None:
    given = {"reqMode": "tcp", "srcPort": "9000", "timeoutServer": "500ms"}

    assert lines(given) == ["timeout server 500ms"]


@pytest.mark.parametrize("value", ["-1", "1 s", "10s\n timeout client 1", "1w", "%[rand]"])
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="timeoutServer"):
        parse({**PLAIN, "timeoutServer": value})
