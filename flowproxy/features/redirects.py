"""Redirects to HTTPS and from other domains, and plain HTTP that is denied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from flowproxy.features.feature import MOST_VALUES, Change, Defaults, Destinations, Feature, Parameters, Protection
from flowproxy.text.values import Flag, checked_domain, one_of

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters, ServiceParameters

_NAME = re.compile(r"[a-z0-9_.-]+")  # a wildcard or a pattern is none


def _redirected(value: str) -> str:
    """A host that a map finds: a name, or all names below one. Raises ValueError."""
    domain = checked_domain(value)
    if domain.startswith("*") and not domain.startswith("*."):
        raise ValueError(f"{value!r} is neither a name nor *.name; write *.{domain[1:]} for all names below it")
    return domain


RedirectedDomain = Annotated[str, AfterValidator(_redirected)]
RedirectCode = Annotated[int, AfterValidator(lambda v: one_of(v, (301, 302, 303, 307, 308)))]


class OfDestination(Parameters):
    """Requests that are redirected, or denied because they came over plain HTTP."""

    https_only: Flag = Field(False, description="Whether plain HTTP is redirected to HTTPS.", examples=["true"])
    https_redirect_code: RedirectCode | None = Field(
        None, description="Status of such redirects; HAProxy's is 302.", examples=["301", "308"]
    )
    redirect_from_domain: tuple[RedirectedDomain, ...] = Field(
        (),
        description="Domains whose requests are redirected to the first `serviceDomain`.",
        examples=["www.example.org,*.example.com", "www.example.org"],
    )
    deny_http: Flag = Field(False, description="Whether plain HTTP is answered with 403.", examples=["true"])


class OfService(Parameters):
    """Redirects of requests that a proxy in front has received over plain HTTP."""

    redirect_when_http_proto: Flag = Field(
        False,
        description="Whether requests that come with `X-Forwarded-Proto: http` from a proxy in front are redirected to"
        " HTTPS.",
        examples=["true"],
    )
    redirect_unless_https_proto: Flag = Field(
        False,
        description="Whether requests that do not come with `X-Forwarded-Proto: https` from a proxy in front are"
        " redirected to HTTPS.",
        examples=["true"],
    )


def _warn(service: ServiceParameters, _: Destinations, defaults: Defaults) -> Iterable[str]:
    """Yield a warning for each parameter that trusts a header that any client may send."""
    believing = {
        "redirectWhenHttpProto": service.redirect_when_http_proto,
        "redirectUnlessHttpsProto": service.redirect_unless_https_proto,
    }
    for name, asked in believing.items():
        if asked and not defaults.proxies_known:
            yield (
                f"{name} trusts the header X-Forwarded-Proto of any client;"
                " set FLOWPROXY_TRUSTED_PROXIES to the networks of the load balancers in front"
            )


def _values(service: ServiceParameters, destination: DestinationParameters) -> Mapping[str, str]:
    """Return the status of redirects to HTTPS, and the domain that others are redirected to."""
    found = {}
    to_https = destination.https_only or service.redirect_when_http_proto or service.redirect_unless_https_proto
    if to_https and destination.https_redirect_code:
        found["httpsRedirectCode"] = str(destination.https_redirect_code)
    target = destination.service_domain[0] if destination.redirect_from_domain else ""
    if _NAME.fullmatch(target):
        found["redirectTo"] = target
    return found


def _asks_tls(destination: DestinationParameters) -> bool:
    return destination.deny_http or destination.https_only


_PROTECTION = Protection(
    level=_asks_tls,
    is_better=lambda one, other: _asks_tls(one) and not _asks_tls(other),
)

FEATURE = Feature(
    name="redirects",
    service=OfService,
    destination=OfDestination,
    modes=("http",),
    changes={"httpsRedirectCode": Change.MAP},
    values=_values,
    warn=_warn,
    most={"redirectFromDomain": MOST_VALUES},
    protection=_PROTECTION,
    protects=frozenset({"httpsOnly", "denyHttp", "redirectWhenHttpProto", "redirectUnlessHttpsProto"}),
    guesses=dict.fromkeys(
        "sslonly tlsonly forcehttps forcessl forcetls onlyhttps requirehttps requiressl httpsredirect redirecttohttps"
        " redirecthttps".split(),
        "httpsOnly",
    ),
)
