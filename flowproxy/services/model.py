"""What one service asks for: the parameters of all features, under its name.

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
    """What one Swarm service, API call or environment block asked for."""

    service_name: Name = Field(
        description="The name of the Swarm service. For labels it is taken from the service itself.",
        examples=["shop"],
    )
    destinations: tuple[Destination, ...] = Field((), exclude=True)
    ignored: tuple[str, ...] = Field((), exclude=True, description="Names of parameters that mean nothing here.")
    warnings: tuple[str, ...] = Field((), exclude=True, description="What its author probably meant otherwise.")

    def asks_the_same(self, other: Service) -> bool:
        """Whether two differ at most in what means nothing here."""
        nothing = {"ignored": (), "warnings": (), "distribute": False, "replicas": None}
        return self.model_copy(update=nothing) == other.model_copy(update=nothing)

    @cached_property
    def has_ports(self) -> bool:
        """Whether some destination listens on a port of its own."""
        return any(destination.req_mode != "http" for destination in self.destinations)

    @property
    def brings_templates(self) -> bool:
        return bool(self.template_fe_path or self.template_be_path)

    @property
    def wants_virtual_ip(self) -> bool:
        return (self.discovery_type or "").lower() == "vip"

    def hosts(self) -> frozenset[str]:
        """The names whose addresses its requests go to; an IP address needs no looking up."""
        sending = (destination for destination in self.destinations if destination.port or destination.https_port)
        hosts = (destination.outbound_hostname or self.service_name for destination in sending)
        return frozenset(host for host in hosts if not is_address(host))


class Candidate(NamedTuple):
    """A service with what decides between equals: when it first appeared, in seconds since 1970.

    `owner` is who answers for it: its stack, or the environment; empty where it answers for itself alone.
    """

    service: Service
    created: float
    owner: str = ""

    @property
    def age(self) -> tuple[float, str]:
        """Sorts the oldest first."""
        return (self.created, self.service.service_name)

    @property
    def owned_by(self) -> str:
        """In words."""
        return self.owner or f"service {self.service.service_name}, which is of no stack"

    @property
    def seniority(self) -> tuple[bool, str, float, str]:
        """Sorts equals: an explicit aclName, then the older, then the name."""
        acl = self.service.acl_name
        return (acl is None, acl or "", self.created, self.service.service_name)

    def is_beside(self, other: Candidate) -> bool:
        """Whether both have one owner."""
        same = self.service.service_name == other.service.service_name
        return same or (bool(self.owner) and self.owner == other.owner)


class Endpoint(NamedTuple):
    """Where one task, or one address of a host name, is reached. The same name always means the same address."""

    name: str
    address: str

    @classmethod
    def of_address(cls, address: str) -> Endpoint:
        """The endpoint of an address that has no name of its own."""
        return cls(address.replace(":", "-"), address)


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def public(model: Parameters) -> dict[str, Any]:
    """The parameters of a model under their public names, as JSON values."""
    return model.model_dump(by_alias=True, mode="json")
