"""Timeouts of a service."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from controller import Answer, Controller
from featured import PLAIN, configuration, cost, lines

from flowproxy.errors import InvalidService
from flowproxy.features import Change
from flowproxy.services.parse import parse

Web = Callable[..., Answer]


def values(parameters: dict[str, str]) -> dict[str, str]:
    return dict(configuration(parameters).maps["values"])


def test_requests_have_the_times_that_a_map_says_in_milliseconds() -> None:
    given = {"timeoutServer": "7", "timeoutTunnel": "2h"}

    assert lines(given) == [
        "http-request set-timeout server be_name,concat(|timeoutServer),map_str(maps/values.map)",
        "http-request set-timeout tunnel be_name,concat(|timeoutTunnel),map_str(maps/values.map)",
    ]
    assert values(given) == {"web-be80_0|timeoutServer": "7000", "web-be80_0|timeoutTunnel": "7200000"}


@pytest.mark.parametrize(
    ("time", "milliseconds"), [("1500us", "2"), ("20ms", "20"), ("3m", "180000"), ("1d", "86400000")]
)
def test_every_unit_is_milliseconds_rounded_up(time: str, milliseconds: str) -> None:
    assert values({"timeoutServer": time})["web-be80_0|timeoutServer"] == milliseconds


@pytest.mark.parametrize("time", ["0", "25d", "99999999d"])
def test_what_haproxy_may_read_otherwise_is_a_line(time: str) -> None:
    (line,) = lines({"timeoutServer": time})

    assert line.startswith("timeout server ")
    assert values({"timeoutServer": time}) == {}


def test_connections_of_tcp_have_lines() -> None:
    given = {"reqMode": "tcp", "srcPort": "9000", "timeoutServer": "500ms"}

    assert lines(given) == ["timeout server 500ms"]


def test_another_time_is_no_reload_but_the_first_one_is() -> None:
    assert cost({"timeoutServer": "7"}, {"timeoutServer": "8"}) is Change.MAP
    assert cost({}, {"timeoutServer": "8"}) is Change.RELOAD


@pytest.mark.parametrize("value", ["-1", "1 s", "10s\n timeout client 1", "1w", "%[rand]"])
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="timeoutServer"):
        parse({**PLAIN, "timeoutServer": value})


def test_a_service_that_is_silent_for_longer_is_given_up(controller: Controller, web: Web) -> None:
    web("slow", timeoutServer="60")
    reloads = controller.status["reloads"]
    web("slow", timeoutServer="50ms")

    assert controller.get("/slow/wait").status == 504
    assert controller.status["reloads"] == reloads
