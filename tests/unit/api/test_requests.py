"""What a request says, as values."""

from __future__ import annotations

import pytest

from flowproxy.api.requests import is_distributed, json_object, request_for
from flowproxy.errors import InvalidService
from flowproxy.routing.conditions import Request
from flowproxy.text.booleans import is_true


@pytest.mark.parametrize(
    ("url", "request_"),
    [
        ("http://example.org", Request("example.org", "/", 80)),
        ("https://example.org/a?b=c", Request("example.org", "/a", 443)),
        ("http://example.org:8080/a", Request("example.org", "/a", 8080)),
        ("http://[::1]/a", Request("::1", "/a", 80)),
    ],
)
def test_a_url_is_a_request(url: str, request_: Request) -> None:
    assert request_for(url) == request_


@pytest.mark.parametrize("url", ["", "example.org", "/path", "http://", "http://a:99999/", "http://[1/"])
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"url: .*give a whole one, such as \?url=http://example.org/api"):
        request_for(url)


def test_a_url_has_a_length_and_shows_no_password() -> None:
    with pytest.raises(ValueError, match="has 9000 characters; give one with at most 8192"):
        request_for("x" * 9000)
    with pytest.raises(ValueError, match="hidden") as raised:
        request_for("http://me:swordfish@a:99999/")
    assert "swordfish" not in str(raised.value)


def test_switches_are_read_as_docker_flow_proxy_does() -> None:
    assert [word for word in ("true", "TRUE", "1", "t", "on", "false", "0", "", "yes") if is_true(word)] == [
        *("true", "TRUE", "1", "t", "on")
    ]
    assert is_distributed({"distribute": "true"})
    assert not is_distributed({})


def test_a_body_must_be_an_object() -> None:
    assert json_object('{"a": 1}') == {"a": 1}
    for wrong in ("", "[]", "1", "{", '"a"'):
        with pytest.raises(InvalidService, match="must be a JSON object"):
            json_object(wrong)
