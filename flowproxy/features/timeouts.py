"""How long a service may be silent."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import Feature, Parameters
from flowproxy.text.values import Duration


class OfDestination(Parameters):
    """Times that a server or a tunnel may be silent."""

    timeout_server: Duration | None = Field(
        None, description="How long the service may be silent, in seconds.", examples=["60", "5m"]
    )
    timeout_tunnel: Duration | None = Field(
        None, description="How long a tunnel or tcp connection may be silent, in seconds.", examples=["3600", "2h"]
    )


FEATURE = Feature(name="timeouts", destination=OfDestination, modes=("http", "tcp"))
