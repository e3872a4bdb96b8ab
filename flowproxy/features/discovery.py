"""Where the requests of a service go, and which proxy the service is for."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import Change, Feature, Parameters
from flowproxy.text.values import Address, Flag, Text


class OfDestination(Parameters):
    """An address that replaces the tasks of the service."""

    outbound_hostname: Address | None = Field(
        None,
        description="A host name or IP address to send requests to instead of the service's tasks.",
        examples=["10.0.0.7", "10.0.0.8"],
    )


class OfService(Parameters):
    """How the tasks of a service are found."""

    replicas: int | None = Field(
        None,
        ge=0,
        description="How many tasks the service has. With 0 it has no routes. Set by the listener.",
        examples=["2", "3"],
    )
    distribute: Flag = Field(
        False, description="Whether a call is passed to all replicas of the proxy.", examples=["true"]
    )
    proxy_instance_name: Text | None = Field(
        None,
        description="The proxy that this service is for, where FILTER_PROXY_INSTANCE_NAME is on.",
        examples=["inner", "outer"],
    )
    discovery_type: Text | None = Field(
        None,
        description="`vip`: requests go to the service's virtual IP. Otherwise they go to its tasks directly.",
        examples=["vip"],
    )
    check_resolvers: Flag = Field(
        False, description="Has no effect: Flowproxy resolves names itself.", examples=["true"]
    )


FEATURE = Feature(
    name="discovery",
    service=OfService,
    destination=OfDestination,
    change=Change.NOTHING,
    changes={"outboundHostname": Change.SERVER},
)
