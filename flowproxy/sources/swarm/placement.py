"""Where the tasks of the Swarm's services are reached from here, in the registry."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from flowproxy.services.registry import Registry
from flowproxy.sources.own_networks import Network, own_networks
from flowproxy.sources.swarm.catalog import Catalog
from flowproxy.sources.swarm.departures import Departures
from flowproxy.sources.swarm.listing import (
    SwarmService,
    Task,
    as_task,
    shared,
    understood,
    virtual_endpoint,
)
from flowproxy.sources.swarm.pacing import Pacing


class Placement:
    """Places tasks that run on a network of the proxy, and tells the pacing which ones change.

    `unreachable` are the ids of nodes out of contact, `network_names` the names of networks by their subnets.
    """

    def __init__(self, registry: Registry, catalog: Catalog, pacing: Pacing) -> None:
        self._registry = registry
        self._catalog = catalog
        self._pacing = pacing
        self._tasks: dict[str, tuple[Task, ...]] = {}
        self._departures = Departures()
        self.unreachable: frozenset[str] = frozenset()
        self.network_names: Mapping[Network, str] = {}

    def place(self, listed: Sequence[Mapping[str, Any]], identities: Collection[str]) -> None:
        """Take over the tasks of these services, as the daemon lists them. Raises SwarmUnavailable when the listing is
        not understood."""
        networks = own_networks()
        services = self._catalog.routed_to(identities)
        tasks: dict[str, list[Task]] = {identity: [] for identity in services}
        for item in understood(list, listed):
            service = services.get(understood(_service_of, item))
            if service:
                tasks[service.id].append(understood(partial(as_task, service_name=service.name), item))
        for identity, own in tasks.items():
            self._place(services[identity], tuple(sorted(own)), networks)

    def place_again(self, services: Iterable[SwarmService]) -> None:
        """Place services that have other names now, with the tasks that are known."""
        networks = own_networks()
        for service in services:
            self._place(service, self._tasks.get(service.id, ()), networks)

    def forget_others(self) -> None:
        """Forget the places of services that no complete listing holds, or that no route sends to any more."""
        self._departures.retain(self._catalog.services.keys())
        placed = {self._catalog.name(service) for service in self._catalog.services.values()} & self._registry.hosts
        for name in self._registry.snapshot().tasks.keys() - placed:
            self._registry.place(name, None)

    def _place(self, service: SwarmService, tasks: tuple[Task, ...], networks: frozenset[Network]) -> None:
        if tasks != self._tasks.get(service.id):
            self._pacing.changed([service.id], time.monotonic())
            self._tasks[service.id] = tasks
        self._pacing.note(service.id, is_changing=service.updating or any(task.changing for task in tasks))
        running = self._departures.serving(service.id, tasks, self.unreachable, time.monotonic())
        endpoints = [endpoint for task in running if (endpoint := shared(task, networks))]
        name = self._catalog.name(service)
        asked = self._registry.get(name)
        if endpoints and asked and asked.service.wants_virtual_ip:
            virtual = virtual_endpoint(service, tasks, networks)
            endpoints = [virtual] if virtual else endpoints
        self._registry.place(name, endpoints)
        cut_off = bool(running) and not endpoints
        self._catalog.note(service, self._without_network(networks) if cut_off else None)

    def _without_network(self, networks: frozenset[Network]) -> str:
        names = sorted(name for subnet, name in self.network_names.items() if subnet in networks)
        return f"it is on no network of the proxy; add {' or '.join(names) or 'one that the proxy is on'} to it"


def _service_of(task: Mapping[str, Any]) -> Any:
    return task.get("ServiceID")
