"""How long connections are kept."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


@pytest.mark.parametrize(
    ("mode", "written"),
    [
        ("http-server-close", ["option http-server-close"]),
        ("forceclose", ["option httpclose"]),
        ("http-tunnel", []),  # HAProxy has none any more
    ],
)
def test_the_mode_is_an_option(mode: str, written: list[str]) -> None:
    assert lines({"connectionMode": mode}) == written


def test_another_mode_is_refused() -> None:
    with pytest.raises(InvalidService, match="connectionMode"):
        parse({**PLAIN, "connectionMode": "http-keep-alive\nretries 1"})
