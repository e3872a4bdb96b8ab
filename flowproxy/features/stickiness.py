"""Clients that stay with one task."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import Feature, Parameters
from flowproxy.text.values import Text


class OfService(Parameters):
    """What keeps a client with its task."""

    session_type: Text | None = Field(
        None,
        description="`sticky-server`: a cookie keeps a client with its task. Any other value has no effect.",
        examples=["sticky-server"],
    )


FEATURE = Feature(name="stickiness", service=OfService, modes=("http",))
