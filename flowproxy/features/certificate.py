"""A certificate that a service supplies."""

from __future__ import annotations

from pydantic import Field, SecretStr

from flowproxy.features.feature import Change, Feature, Parameters


class OfService(Parameters):
    """The certificate and its key."""

    service_cert: SecretStr | None = Field(
        None,
        description="PEM of a certificate and its key, for hosts whose `/` route the service has; `\\n` for line ends.",
        examples=["-----BEGIN CERTIFICATE-----\\n…\\n-----END PRIVATE KEY-----\\n"],
    )


FEATURE = Feature(name="certificate", service=OfService, change=Change.MAP)
