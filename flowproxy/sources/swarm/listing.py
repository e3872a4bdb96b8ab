"""What the Docker API lists of services and tasks, as values (Docker API: ServiceList, TaskList)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from flowproxy.errors import SwarmUnavailable
from flowproxy.services.model import Endpoint
from flowproxy.services.parse import service_parameter
from flowproxy.sources.own_networks import Interface, Network

T = TypeVar("T")

_STACK = "com.docker.stack.namespace"
_OF_THE_SERVICE = {"serviceName", "replicas"}
_OUT_OF_CONTACT = {"down", "disconnected"}
_ON_THE_WAY = {"new", "pending", "assigned", "accepted", "preparing", "ready", "starting"}


class SwarmService(NamedTuple):
    """What the listing says of one service."""

    id: str
    name: str
    labels: Mapping[str, str]
    created: float
    replicas: int
    is_global: bool
    is_job: bool
    updating: bool
    virtual_addresses: tuple[Interface, ...] = ()

    @property
    def stack(self) -> str:
        """The stack that it was deployed with; empty without one."""
        return self.labels.get(_STACK, "")

    def says(self, label: str, prefix: str) -> bool:
        """Return whether a label of ours is `true`, the only word that Docker Flow Swarm Listener takes."""
        return self.labels.get(prefix + label, "").lower() == "true"

    def asks_as(self, other: SwarmService) -> bool:
        """Whether both say the same of what an event is sent for."""
        same = self.name == other.name and self.labels == other.labels
        return same and (self.is_global or self.replicas == other.replicas)


class Task(NamedTuple):
    """What the listing says of one task. The addresses keep their prefix length, which tells their network."""

    name: str
    service_id: str
    state: str
    desired: str
    addresses: tuple[Interface, ...]
    node_id: str = ""

    @property
    def serving(self) -> bool:
        return self.state == "running" and self.desired == "running"

    @property
    def stopping(self) -> bool:
        """Whether it is to stop and has not yet."""
        return self.state == "running" and self.desired not in ("running", "ready")

    @property
    def plain_addresses(self) -> frozenset[str]:
        return frozenset(str(address.ip) for address in self.addresses)

    @property
    def changing(self) -> bool:
        coming = self.desired in ("running", "ready") and self.state in _ON_THE_WAY
        return coming or self.stopping


def understood(read: Callable[[Any], T], answer: object) -> T:
    """Return what an answer means. Raises SwarmUnavailable for one that is JSON but not what the Docker API says."""
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SwarmUnavailable(f"an answer of the daemon is not understood: {error!r}") from error


def as_service(raw: Mapping[str, Any]) -> SwarmService:
    """One item of ServiceList. Replicas are what the Swarm wants to run, which for a global service are its nodes."""
    spec = raw["Spec"]
    mode = spec.get("Mode", {})
    status = raw.get("ServiceStatus") or {}
    replicas = mode.get("Replicated", {}).get("Replicas")
    virtual = (raw.get("Endpoint") or {}).get("VirtualIPs") or []
    return SwarmService(
        id=raw["ID"],
        name=spec["Name"],
        labels=dict(spec.get("Labels") or {}),
        created=_seconds(raw["CreatedAt"]),
        replicas=int(status.get("DesiredTasks", 0) if replicas is None else replicas),
        is_global="Global" in mode,
        is_job="ReplicatedJob" in mode or "GlobalJob" in mode,
        updating=(raw.get("UpdateStatus") or {}).get("State") in ("updating", "rollback_started"),
        virtual_addresses=tuple(ipaddress.ip_interface(item["Addr"]) for item in virtual if item.get("Addr")),
    )


def as_task(raw: Mapping[str, Any], service_name: str) -> Task:
    """One item of TaskList, named as its container is. Addresses of the ingress network are left out: nobody
    listens there."""
    attachments = raw.get("NetworksAttachments") or []
    addresses = tuple(
        ipaddress.ip_interface(address)
        for attachment in attachments
        if not attachment.get("Network", {}).get("Spec", {}).get("Ingress")
        for address in attachment.get("Addresses") or []
    )
    return Task(
        name=f"{service_name}.{raw.get('Slot') or raw.get('NodeID')}.{raw['ID']}",
        service_id=raw["ServiceID"],
        state=raw.get("Status", {}).get("State", ""),
        desired=raw.get("DesiredState", ""),
        addresses=addresses,
        node_id=raw.get("NodeID") or "",
    )


def unreachable_nodes(listed: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the ids of the nodes of NodeList that the Swarm has no contact with. Their tasks stay `running`.

    The other managers miss a manager within a second or two; that a node is down takes 10 to 15 s.
    """
    return frozenset(raw["ID"] for raw in listed if _is_out_of_contact(raw))


def _is_out_of_contact(node: Mapping[str, Any]) -> bool:
    state = (node.get("Status") or {}).get("State")
    reachability = (node.get("ManagerStatus") or {}).get("Reachability")
    return state in _OUT_OF_CONTACT or reachability == "unreachable"


def serving(tasks: Iterable[Task], unreachable: frozenset[str]) -> list[Task]:
    """Return the tasks that get requests: those on nodes that are in contact, or all that run where there are none."""
    running = [task for task in tasks if task.serving]
    return [task for task in running if task.node_id not in unreachable] or running


def names_of_networks(listed: Iterable[Mapping[str, Any]]) -> dict[Network, str]:
    """NetworkList as the subnets of those that a service can be put on, each with its name."""
    return {
        ipaddress.ip_network(part["Subnet"]): network["Name"]
        for network in listed
        if network.get("Driver") == "overlay" and not network.get("Ingress")
        for part in (network.get("IPAM") or {}).get("Config") or []
        if part.get("Subnet")
    }


def shared(task: Task, networks: frozenset[Network]) -> Endpoint | None:
    """Where the task is reached from here: its address on a network that this machine or container is on."""
    for address in task.addresses:
        if address.network in networks:
            return Endpoint(task.name, str(address.ip))
    return None


def virtual_endpoint(service: SwarmService, tasks: Iterable[Task], networks: frozenset[Network]) -> Endpoint | None:
    """The service's virtual IP on a network that its tasks share with this machine or container. That of the ingress
    network is none, because addresses of tasks there are left out."""
    of_tasks = {address.network for task in tasks for address in task.addresses}
    for address in service.virtual_addresses:
        if address.network in networks and address.network in of_tasks:
            return Endpoint(f"{service.name}.vip", str(address.ip))
    return None


def public_name(service: SwarmService, prefix: str) -> str:
    """The name of the route: that of the service, without its stack's where the label shortName asks for it."""
    if service.stack and service.says("shortName", prefix):
        return service.name.removeprefix(f"{service.stack}_")
    return service.name


def names_of(services: Iterable[SwarmService], prefix: str) -> dict[str, str]:
    """The name of each service's route, by its id. Nobody takes a name from another one: a short name that is the whole
    name of another service, or the short one of an older one, is not granted; then the whole name serves."""
    listed = list(services)
    taken = {service.name for service in listed}
    names = {service.id: service.name for service in listed}
    short = [service for service in listed if public_name(service, prefix) != service.name]
    for service in sorted(short, key=lambda service: (service.created, service.id)):
        name = public_name(service, prefix)
        if name not in taken:
            taken.add(name)
            names[service.id] = name
    return names


def parameters_of(service: SwarmService, name: str, prefix: str) -> dict[str, str]:
    """Return the labels as parameters. The name and the replicas are those of the service, whatever a label says, in
    any spelling that `parse` would read."""
    labels = {key.removeprefix(prefix): value for key, value in service.labels.items() if key.startswith(prefix)}
    labels.pop("notify", None)
    given = {key: value for key, value in labels.items() if service_parameter(key) not in _OF_THE_SERVICE}
    return {**given, "serviceName": name, "replicas": str(service.replicas)}


def _seconds(timestamp: str) -> float:
    # Docker writes nanoseconds; datetime reads microseconds.
    whole, _, rest = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + (float(f"0.{rest}") if rest.isdigit() else 0.0)
