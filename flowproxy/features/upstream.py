"""The protocol between HAProxy and the servers of a service, and their health checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from flowproxy.features.feature import Change, Feature, Parameters
from flowproxy.text.values import Flag

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters, ServiceParameters


class OfDestination(Parameters):
    """The protocol of the servers, and their checks."""

    service_protocol: Literal["http1", "h2"] = Field(
        "http1",
        description="The protocol of the service: `h2` for HTTP/2 without an upgrade, as gRPC uses it.",
        examples=["h2"],
    )
    ssl_verify_none: Flag = Field(
        False,
        description="Whether to use TLS to the service, without verifying its certificate.",
        examples=["true"],
    )
    check_tcp: Flag = Field(
        False, description="Whether servers of a tcp destination are checked by connecting.", examples=["true"]
    )


# Rare in normal operation; soon after a connection failed or while the server is down (configuration manual, 5.2).
# A server that drops all packets is down when one check has taken `timeout connect`; one that is down for no reason is
# back with the next check. A server that is added while others serve gets its first check, and so its first request,
# after `downinter`.
_CHECK = "check inter 30s fastinter 200ms downinter 20ms fall 1 rise 1 observe layer4 error-limit 1 on-error fastinter"


def _server_options(_: ServiceParameters, destination: DestinationParameters) -> Iterable[str]:
    if destination.req_mode == "http" or destination.check_tcp:
        yield _CHECK
    if destination.ssl_verify_none:
        yield "ssl verify none"
    if destination.service_protocol == "h2":
        yield "alpn h2" if destination.ssl_verify_none else "proto h2"


FEATURE = Feature(
    name="upstream",
    destination=OfDestination,
    modes=("tcp",),
    changes={"serviceProtocol": Change.SERVER, "sslVerifyNone": Change.SERVER},
    server_options=_server_options,
)
