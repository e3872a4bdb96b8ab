"""No message names what only programmers know."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from flowproxy.errors import InvalidService
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS, parse
from flowproxy.text.validation import rule_of


class Colour(Enum):
    RED = "red"


def _own_rule(value: str) -> str:
    raise ValueError(f"{value!r} is not a path")


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        (int, "x", "must be a whole number"),
        (int, "1.5", "must be a whole number"),
        (int, 1.5, "must be a whole number"),
        (int, "9" * 5000, "must be a whole number, and is too large"),
        (float, "x", "must be a number"),
        (bool, "x", "must be true or false"),
        (Annotated[int, Field(ge=1, le=65535)], "0", "must be at least 1"),
        (Annotated[int, Field(ge=1, le=65535)], "65536", "must be at most 65535"),
        (Annotated[int, Field(gt=1)], "1", "must be more than 1"),
        (Annotated[int, Field(lt=1)], "1", "must be less than 1"),
        (Literal["http", "tcp", "sni"], "x", "must be 'http', 'tcp' or 'sni'"),
        (Colour, "x", "must be 'red'"),
        (str, 1, "must be text"),
        (Annotated[str, Field(min_length=2)], "x", "must have at least 2 characters"),
        (Annotated[str, Field(max_length=2)], "xyz", "must have at most 2 characters"),
        (Annotated[str, Field(pattern="^/")], "x", "must match the regular expression ^/"),
        (Annotated[list[str], Field(max_length=1)], ["x", "y"], "has 2 values; at most 1 are accepted"),
        (Annotated[list[str], Field(min_length=1)], [], "has 0 values; at least 1 are needed"),
        (Annotated[str, AfterValidator(_own_rule)], "x", "'x' is not a path"),
    ],
)
def test_a_rule_is_in_plain_words(kind: Any, value: object, rule: str) -> None:
    assert rule_of(_mistake(kind, value)) == rule


def _mistake(kind: Any, value: object) -> ErrorDetails:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(value)
    return raised.value.errors()[0]


@pytest.mark.parametrize("parameter", sorted({*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS} - {"serviceName"}))
@pytest.mark.parametrize("value", ["\x00nonsense", "-1", "999999999999", "x" * 70_000])
def test_no_parameter_is_refused_in_the_words_of_a_library(parameter: str, value: str) -> None:
    whole = {"serviceName": "web", "servicePath": "/", "port": "80"}
    try:
        parse(whole | {parameter: value})
    except InvalidService as error:
        message = str(error)
        for word in ("Input", "valid integer", "parse string", "List should", "String should", "Value error", "items"):
            assert word not in message.replace(value, "")
