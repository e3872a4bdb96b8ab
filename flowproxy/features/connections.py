"""How long connections are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowproxy.features.feature import Feature, Parameters


class OfService(Parameters):
    """The mode of the connections of a service."""

    connection_mode: (
        Literal["http-keep-alive", "http-server-close", "httpclose", "http-tunnel", "forceclose"] | None
    ) = Field(
        None,
        description="HAProxy's option for connections, for this service alone.",
        examples=["http-server-close", "httpclose"],
    )


FEATURE = Feature(name="connections", service=OfService, modes=("http",))
