"""One service: the parameters of all features, under its name.

Docker Flow Proxy's parameters keep their names and meaning. The field names are the snake_case of the public parameter
names, which are the aliases. Every field's description is its documentation (flowproxy/features).
"""

from __future__ import annotations

import ipaddress
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from pydantic import Field

from flowproxy.features import DestinationParameters, Parameters, ServiceParameters
from flowproxy.text.values import Name


class Destination(DestinationParameters):
    """Where a part of a service's requests goes. Parameters with an index (`port.1`, `servicePath.1`) describe
    several."""


class Service(ServiceParameters):
    """What one Swarm service, API call or environment block asks for."""

    service_name: Name = Field(
        description="The name of the Swarm service. For labels it is taken from the service itself.",
        examples=["shop"],
    )
    destinations: tuple[Destination, ...] = Field((), exclude=True)
    ignored: tuple[str, ...] = Field((), exclude=True, description="Names of unknown parameters.")
    warnings: tuple[str, ...] = Field((), exclude=True, description="What the author probably did not mean.")

    def asks_the_same(self, other: Service) -> bool:
        """Return whether two services differ at most in unknown parameters."""
        nothing = {"ignored": (), "warnings": (), "distribute": False, "replicas": None}
        return self.model_copy(update=nothing) == other.model_copy(update=nothing)

    @cached_property
    def has_ports(self) -> bool:
        """Return whether a destination listens on a separate port."""
        return any(destination.req_mode != "http" for destination in self.destinations)

    @cached_property
    def brings_templates(self) -> bool:
        return bool(self.template_fe_path or self.template_be_path)

    @property
    def wants_virtual_ip(self) -> bool:
        return (self.discovery_type or "").lower() == "vip"

    def hosts(self) -> frozenset[str]:
        """Return the host names that its requests go to; IP addresses need no resolution."""
        sending = (destination for destination in self.destinations if destination.port or destination.https_port)
        hosts = (destination.outbound_hostname or self.service_name for destination in sending)
        return frozenset(host for host in hosts if not is_address(host))


class Candidate(NamedTuple):
    """A service with its age, which decides between equal claims: when it first appeared, in seconds since 1970.

    `owner` is its stack, or the environment; empty for a service without either.
    """

    service: Service
    created: float
    owner: str = ""

    @property
    def age(self) -> tuple[float, str]:
        """Return a sort key: the oldest first."""
        return (self.created, self.service.service_name)

    @property
    def owned_by(self) -> str:
        """In words."""
        return self.owner or f"service {self.service.service_name}, which has no stack"

    @property
    def seniority(self) -> tuple[bool, str, float, str]:
        """Return the sort key of equal claims: an explicit aclName, then the age, then the name."""
        acl = self.service.acl_name
        return (acl is None, acl or "", self.created, self.service.service_name)

    def is_beside(self, other: Candidate) -> bool:
        """Return whether both have the same owner."""
        same = self.service.service_name == other.service.service_name
        return same or (bool(self.owner) and self.owner == other.owner)


class Endpoint(NamedTuple):
    """The address of one task, or one address of a host name. The same name always means the same address."""

    name: str
    address: str

    @classmethod
    def of_address(cls, address: str) -> Endpoint:
        """Return the endpoint of an address that has no name."""
        return cls(address.replace(":", "-"), address)


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Return whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def public(model: Parameters) -> dict[str, Any]:
    """Return the parameters of a model under their public names, as JSON values."""
    return model.model_dump(by_alias=True, mode="json")
