"""Which HTTP methods a destination takes."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import MOST_VALUES, Feature, Parameters
from flowproxy.text.values import Method


class OfDestination(Parameters):
    """Methods that are taken, and methods that are not."""

    allowed_methods: tuple[Method, ...] = Field(
        (), description="HTTP methods; all others are answered with 403.", examples=["GET,HEAD", "GET"]
    )
    denied_methods: tuple[Method, ...] = Field(
        (), description="HTTP methods that are answered with 403.", examples=["DELETE,TRACE", "TRACE"]
    )


FEATURE = Feature(
    name="methods",
    destination=OfDestination,
    modes=("http",),
    most={"allowedMethods": MOST_VALUES, "deniedMethods": MOST_VALUES},
    protects=frozenset({"allowedMethods", "deniedMethods"}),
    guesses={
        **dict.fromkeys("method methods onlymethods allowmethods".split(), "allowedMethods"),
        **dict.fromkeys("denymethods forbiddenmethods".split(), "deniedMethods"),
    },
)
