"""Lines of HAProxy configuration that a service writes itself."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService, Untrusted
from flowproxy.features import Defaults
from flowproxy.services.parse import parse


def test_they_are_the_last_ones() -> None:
    given = {"backendExtra": "option httpchk\nretries 2", "sessionType": "sticky-server"}

    assert lines(given)[-2:] == ["option httpchk", "retries 2"]


@pytest.mark.parametrize("value", ["backend other", "server x /run/haproxy.sock", "http-request deny\x00"])
def test_no_other_section_and_no_local_socket_is_reached(value: str) -> None:
    with pytest.raises(InvalidService, match="backendExtra"):
        parse({**PLAIN, "backendExtra": value})


@pytest.mark.parametrize(("level", "value"), [("none", "retries 2"), ("safe", "server x 10.0.0.1:80")])
def test_a_level_takes_no_more_than_it_says(level: str, value: str) -> None:
    defaults = Defaults(raw="none" if level == "none" else "safe")

    with pytest.raises(Untrusted, match="backendExtra"):
        parse({**PLAIN, "backendExtra": value}, defaults)
