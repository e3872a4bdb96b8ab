"""Which HTTP methods a destination takes."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


def test_other_methods_than_the_allowed_ones_are_denied() -> None:
    assert lines({"allowedMethods": "get,HEAD"}) == [
        "acl allowed-method method GET HEAD",
        "http-request deny unless allowed-method",
    ]


def test_denied_methods_are_denied_in_any_case() -> None:
    assert lines({"deniedMethods": "DELETE"}) == [
        "acl denied-method method,upper -m str -- DELETE",
        "http-request deny if denied-method",
    ]


@pytest.mark.parametrize("value", ["GET }", "-f", "GET\nPUT x", "*"])
def test_what_is_no_method_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="allowedMethods"):
        parse({**PLAIN, "allowedMethods": value})


@pytest.mark.parametrize("name", ["methods", "allowMethods", "allowedMethod"])
def test_a_name_that_looks_like_it_closes_the_route(name: str) -> None:
    with pytest.raises(InvalidService, match="use allowedMethods"):
        parse({**PLAIN, name: "GET"})
