"""Logging of the requests and connections of a service."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import Feature, Parameters, Raw
from flowproxy.text.safe_lines import check_log_format
from flowproxy.text.values import Flag, Line


class OfService(Parameters):
    """Whether and how requests are logged."""

    debug: Flag = Field(False, description="Whether requests of this service are logged.", examples=["true"])
    debug_format: Line | None = Field(
        None,
        description="HAProxy's log-format on the tcp or sni ports of this service, if all services of the port agree"
        " on it and the port has no http routes.",
        examples=["%ci %s", "%ci %b"],
    )


FEATURE = Feature(
    name="logging",
    service=OfService,
    modes=("http",),
    raw={"debugFormat": Raw(check_log_format, is_configuration=lambda value: False)},
)
