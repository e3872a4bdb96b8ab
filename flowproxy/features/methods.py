"""The HTTP methods that a destination accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from flowproxy.features.feature import MOST_VALUES, Feature, Parameters, Protection
from flowproxy.text.values import Method

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters


class OfDestination(Parameters):
    """Methods that are accepted, and methods that are refused."""

    allowed_methods: tuple[Method, ...] = Field(
        (), description="HTTP methods; all others are answered with 403.", examples=["GET,HEAD", "GET"]
    )
    denied_methods: tuple[Method, ...] = Field(
        (), description="HTTP methods that are answered with 403.", examples=["DELETE,TRACE", "TRACE"]
    )


def _takes_less(one: DestinationParameters, other: DestinationParameters) -> bool:
    allowed, others = set(one.allowed_methods), set(other.allowed_methods)
    allows_less = bool(allowed) and not (others and others <= allowed)
    return allows_less or not set(one.denied_methods) <= set(other.denied_methods)


_PROTECTION = Protection(
    level=lambda destination: (frozenset(destination.allowed_methods), frozenset(destination.denied_methods)),
    is_better=_takes_less,
)

FEATURE = Feature(
    name="methods",
    destination=OfDestination,
    modes=("http",),
    most={"allowedMethods": MOST_VALUES, "deniedMethods": MOST_VALUES},
    protection=_PROTECTION,
    protects=frozenset({"allowedMethods", "deniedMethods"}),
    guesses={
        **dict.fromkeys("method methods onlymethods allowmethods".split(), "allowedMethods"),
        **dict.fromkeys("denymethods forbiddenmethods".split(), "deniedMethods"),
    },
)
