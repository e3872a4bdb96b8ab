"""Client certificates, which a destination can require."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from flowproxy.errors import Problem
from flowproxy.features.feature import Defaults, Destinations, Feature, Parameters, Protection
from flowproxy.text.values import Flag

if TYPE_CHECKING:
    from flowproxy.features import ServiceParameters


class OfDestination(Parameters):
    """Whether clients need a certificate."""

    verify_client_ssl: Flag = Field(
        False,
        description="Whether a client certificate signed by an authority of CA_FILE is required; 403 without one.",
        examples=["true"],
    )


def _check(_: ServiceParameters, destinations: Destinations, defaults: Defaults) -> Iterable[Problem]:
    asked = any(destination.verify_client_ssl for destination in destinations if destination.req_mode == "http")
    if asked and not defaults.client_certificates:
        yield Problem("verifyClientSsl", "", "needs the setting CA_FILE, whose authorities sign client certificates")


_PROTECTION = Protection(
    level=lambda destination: destination.verify_client_ssl,
    is_better=lambda one, other: one.verify_client_ssl and not other.verify_client_ssl,
)

FEATURE = Feature(
    name="client_certificates",
    destination=OfDestination,
    modes=("http",),
    check=_check,
    protection=_PROTECTION,
    protects=frozenset({"verifyClientSsl"}),
    guesses=dict.fromkeys("clientauth clientcert clientca mtls verifyclient verifyssl".split(), "verifyClientSsl"),
)
