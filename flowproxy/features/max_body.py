"""The maximum size of a request body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from flowproxy.features.feature import Change, Feature, Parameters, Protection

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters, ServiceParameters

_SIZE = re.compile(r"(?P<number>[0-9]{1,12})(?P<unit>[bkmgBKMG]?)")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LARGEST = 1 << 50


def size_in_bytes(value: str) -> int:
    """Return the number of bytes of a size such as 500, 500b, 64k, 10m or 2g. Raises ValueError."""
    found = _SIZE.fullmatch(value)
    size = int(found["number"]) * _UNITS[found["unit"].lower()] if found else None
    if size is None or size > _LARGEST:
        raise ValueError(f"{value!r} is not a size: write bytes, or a number with k, m or g, at most {_LARGEST} bytes")
    return size


def _checked(value: str) -> str:
    size_in_bytes(value)
    return value


class OfDestination(Parameters):
    """The largest body of a request."""

    max_body: Annotated[str, AfterValidator(_checked)] | None = Field(
        None,
        description="The largest body of a request, in bytes or with `k`, `m` or `g` (1024 each); a larger one is"
        " answered with 413. A body of unknown length is taken up to about 14 KB.",
        examples=["10m", "20m"],
    )


def _values(_: ServiceParameters, destination: DestinationParameters) -> Mapping[str, str]:
    """Bytes."""
    return {"maxBody": str(size_in_bytes(destination.max_body))} if destination.max_body else {}


def _limit(destination: DestinationParameters) -> int:
    return size_in_bytes(destination.max_body) if destination.max_body else _LARGEST + 1


_PROTECTION = Protection(level=_limit, is_better=lambda one, other: _limit(one) < _limit(other))

FEATURE = Feature(
    name="max_body",
    destination=OfDestination,
    modes=("http",),
    change=Change.MAP,
    values=_values,
    protection=_PROTECTION,
    protects=frozenset({"maxBody"}),
    guesses=dict.fromkeys(
        "maxbodysize bodysize bodylimit limitbody maxrequestbody maxrequestbodybytes clientmaxbodysize bodymaxsize"
        " maxuploadsize uploadlimit".split(),
        "maxBody",
    ),
)
