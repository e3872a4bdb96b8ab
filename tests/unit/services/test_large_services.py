"""Services with too many parameters or patterns are answered at once."""

from __future__ import annotations

import itertools
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}


def unknown(number: int, prefix: str = "zq") -> dict[str, str]:
    letters = itertools.product(string.ascii_lowercase, repeat=4)
    return {prefix + "".join(name): "1" for name in itertools.islice(letters, number)}


@contextmanager
def quickly(seconds: float = 1) -> Iterator[None]:
    begin = time.process_time()
    yield
    assert time.process_time() - begin < seconds


@pytest.mark.parametrize("number", [201, 9_000])
def test_many_unknown_parameters_are_refused_at_once(number: int) -> None:
    rule = f"is one of {number} unknown parameters; a service has at most 200"
    with quickly(), pytest.raises(InvalidService, match=rule):
        parse(WEB | unknown(number))


def test_more_parameters_than_any_service_has_are_refused_at_once() -> None:
    with quickly(), pytest.raises(InvalidService, match="there are 40003 parameters; a service has at most 10000"):
        parse(WEB | unknown(40_000))


@pytest.mark.parametrize("prefix", ["zq", "x" * 200, "servicePatx"])
def test_the_most_unknown_parameters_that_are_taken_cost_little(prefix: str) -> None:
    with quickly():
        assert len(parse(WEB | unknown(200, prefix)).ignored) == 200


def test_a_long_name_that_begins_like_protection_is_refused() -> None:
    with pytest.raises(InvalidService, match="looks like protection"):
        parse(WEB | {"users-" + "x" * 300: "a:b"})


def test_many_patterns_are_refused_at_once() -> None:
    given = {"serviceName": "web"}
    for index in range(1, 151):
        patterns = [f"^/a{index}x{number}[a-z]*(b|c)*d" for number in range(200)]
        given |= {f"servicePath.{index}": f"/a{index}", f"port.{index}": "80", f"pathType.{index}": "path_reg"}
        given[f"servicePathExclude.{index}"] = ",".join(patterns)
    with quickly(), pytest.raises(InvalidService, match="has at most 20 regular expressions, and with these there are"):
        parse(given)


def test_many_rewrites_are_refused_at_once() -> None:
    given = {"serviceName": "web"}
    for index in range(1, 1_001):
        pairs = [f"^/a{index}x{number}[a-z]*(b|c)*d,/" for number in range(30)]
        given |= {f"servicePath.{index}": f"/a{index}", f"port.{index}": "80"}
        given[f"reqPathSearchReplace.{index}"] = ":".join(pairs)
    with quickly(), pytest.raises(InvalidService, match="has at most 1000 regular expressions, and with these there"):
        parse(given)
