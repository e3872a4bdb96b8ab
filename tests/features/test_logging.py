"""Requests and connections of a service in the log."""

from __future__ import annotations

import pytest
from featured import PLAIN, configuration, lines

from flowproxy.errors import Untrusted
from flowproxy.features import Defaults
from flowproxy.services.parse import parse


def test_requests_of_one_service_are_logged() -> None:
    assert lines({"debug": "true"}) == ["log global"]


def test_connections_are_logged_in_a_format_of_their_own() -> None:
    given = {"reqMode": "tcp", "srcPort": "9000", "debug": "true", "debugFormat": "%ci it's %s"}

    assert "log-format '%ci it'\"'\"'s %s'" in configuration(given).head


def test_a_format_reads_no_environment() -> None:
    with pytest.raises(Untrusted, match="debugFormat"):
        parse({**PLAIN, "debugFormat": "%[env(HOME)]"}, Defaults(raw="safe"))
