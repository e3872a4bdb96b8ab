"""How long a service may be silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from flowproxy.features.feature import Change, Feature, Parameters
from flowproxy.text.values import Duration

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters, ServiceParameters

_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_LONGEST_MS = 2**31 - 1  # what HAProxy can count


class OfDestination(Parameters):
    """Times that a server or a tunnel may be silent."""

    timeout_server: Duration | None = Field(
        None, description="How long the service may be silent, in seconds.", examples=["60", "5m"]
    )
    timeout_tunnel: Duration | None = Field(
        None, description="How long a tunnel or tcp connection may be silent, in seconds.", examples=["3600", "2h"]
    )


def _values(_: ServiceParameters, destination: DestinationParameters) -> Mapping[str, str]:
    """Return milliseconds. HAProxy can set the timeouts of a request at run time, but not those of a tcp connection."""
    if destination.req_mode != "http":
        return {}
    asked = {"timeoutServer": destination.timeout_server, "timeoutTunnel": destination.timeout_tunnel}
    times = {slot: _milliseconds(value) for slot, value in asked.items() if value}
    return {slot: str(time) for slot, time in times.items() if 0 < time <= _LONGEST_MS}


def _milliseconds(duration: str) -> int:
    """Return milliseconds, rounded up as HAProxy does."""
    number = duration.rstrip("usmhd")
    return -(-int(number) * _UNITS_US[duration.removeprefix(number)] // 1000)


FEATURE = Feature(name="timeouts", destination=OfDestination, modes=("http", "tcp"), change=Change.MAP, values=_values)
