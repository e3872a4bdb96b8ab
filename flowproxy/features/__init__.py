"""The capabilities of a service, one module for each. FEATURES lists them in the order of their lines in a backend.

A feature defines its parameters and what they become. It knows neither other services nor a running HAProxy.
To add a feature, write its module, a line in each list below, templates/backend/<name>.cfg.j2, tests and a guide page.
"""

from __future__ import annotations

from pydantic import Field

from flowproxy.features import (
    certificate,
    client_certificates,
    compression,
    connections,
    discovery,
    extra_lines,
    headers,
    logging,
    matching,
    max_body,
    methods,
    paths,
    redirects,
    stickiness,
    strip_prefix,
    tcp,
    templates,
    timeouts,
    upstream,
    users,
)
from flowproxy.features.feature import Change, Defaults, Feature, Parameters, Raw

__all__ = [
    "FEATURES",
    "Change",
    "Defaults",
    "DestinationParameters",
    "Feature",
    "Parameters",
    "Raw",
    "ServiceParameters",
]

FEATURES: tuple[Feature, ...] = (
    matching.FEATURE,
    discovery.FEATURE,
    tcp.FEATURE,
    upstream.FEATURE,
    connections.FEATURE,
    timeouts.FEATURE,
    logging.FEATURE,
    redirects.FEATURE,
    client_certificates.FEATURE,
    methods.FEATURE,
    users.FEATURE,
    max_body.FEATURE,
    strip_prefix.FEATURE,
    paths.FEATURE,
    headers.FEATURE,
    compression.FEATURE,
    stickiness.FEATURE,
    certificate.FEATURE,
    templates.FEATURE,
    extra_lines.FEATURE,
)


class DestinationParameters(
    matching.OfDestination,
    discovery.OfDestination,
    tcp.OfDestination,
    upstream.OfDestination,
    timeouts.OfDestination,
    redirects.OfDestination,
    client_certificates.OfDestination,
    methods.OfDestination,
    users.OfDestination,
    max_body.OfDestination,
    strip_prefix.OfDestination,
    paths.OfDestination,
    templates.OfDestination,
):
    """The parameters of a destination, of all features."""

    index: int = Field(0, exclude=True, description="The number behind the dot; 0 without one.")

    @property
    def suffix(self) -> str:
        """Return the suffix of its parameter names."""
        return f".{self.index}" if self.index else ""


class ServiceParameters(
    matching.OfService,
    discovery.OfService,
    connections.OfService,
    logging.OfService,
    redirects.OfService,
    users.OfService,
    headers.OfService,
    compression.OfService,
    stickiness.OfService,
    certificate.OfService,
    templates.OfService,
    extra_lines.OfService,
):
    """The parameters of a service, of all features."""
