"""The services of the Swarm as they were listed last, with the names of their routes, in the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from flowproxy.services.admission import Admission, ServiceRequest
from flowproxy.services.registry import Origin
from flowproxy.sources.swarm.listing import SwarmService, names_of, parameters_of, public_name

_log = structlog.get_logger(__name__)


class Catalog:
    """Admits the services that ask for it with the label `notify`."""

    def __init__(self, admission: Admission, label_prefix: str) -> None:
        self._admission = admission
        self._registry = admission.registry
        self._prefix = label_prefix
        self._names: dict[str, str] = {}
        self._attention: dict[str, str] = {}
        self.services: Mapping[str, SwarmService] = {}

    def name(self, service: SwarmService) -> str:
        """Return the name of the service's route."""
        return self._names[service.id]

    def routed_to(self, identities: Iterable[str]) -> dict[str, SwarmService]:
        """Return those of the services that some route sends to; also one that only the API knows by its name."""
        wanted = self._registry.hosts
        listed = ((identity, self.services.get(identity)) for identity in identities)
        return {identity: service for identity, service in listed if service and self.name(service) in wanted}

    @property
    def has_routes(self) -> bool:
        """Return whether the registry holds services of the Swarm."""
        return any(entry.origin == Origin.SWARM for entry in self._registry.snapshot().entries.values())

    def differs_from(self, before: Mapping[str, SwarmService]) -> bool:
        """Return whether services came, went or changed in a way that an event is sent for."""
        now = self.services
        return before.keys() != now.keys() or any(not service.asks_as(now[i]) for i, service in before.items())

    def replace(self, services: Iterable[SwarmService]) -> int:
        """Take over a complete listing; return how many of its services ask for routes."""
        self.services = {service.id: service for service in services}
        self._names = names_of(self.services.values(), self._prefix)
        self._admit(self.services.values())
        asking = {self.name(service) for service in self.services.values() if self._asks(service)}
        self._registry.retain(Origin.SWARM, asking)
        return len(asking)

    def update(self, moved: set[str], found: Mapping[str, SwarmService]) -> list[SwarmService]:
        """Take over a listing of the services that moved; return the others that it gave another name."""
        before = self._names
        staying = {identity: service for identity, service in self.services.items() if identity not in moved}
        self.services = {**staying, **found}
        self._names = names_of(self.services.values(), self._prefix)
        for identity, name in before.items():
            if self._names.get(identity) != name:
                self._withdraw(name)
                self._registry.place(name, None)
        renamed = [staying[i] for i, name in self._names.items() if i in staying and before.get(i) != name]
        self._admit([*renamed, *found.values()])
        return renamed

    def note(self, service: SwarmService, attention: str | None) -> None:
        """Note what is wrong with where a service runs; None for nothing."""
        if attention:
            self._attention[service.id] = attention
        else:
            self._attention.pop(service.id, None)
        self._remark(service)

    def _admit(self, services: Iterable[SwarmService]) -> None:
        self._attention = {i: text for i, text in self._attention.items() if i in self.services}
        for service in services:
            name = self.name(service)
            if not self._asks(service):
                self._withdraw(name)
                continue
            parameters = parameters_of(service, name, self._prefix)
            request = ServiceRequest(Origin.SWARM, service.created, parameters, service.stack)
            admitted = self._admission.admit_listed(request)
            if admitted and self._registry.get(name):
                self._remark(service)

    def _remark(self, service: SwarmService) -> None:
        remark = self._attention.get(service.id) or self._without_short_name(service)
        if self._registry.remark(self.name(service), remark) and remark:
            _log.warning("service needs attention", service=service.name, reason=remark)

    def _withdraw(self, name: str) -> None:
        self._registry.remark(name, None)
        self._admission.withdraw(name, Origin.SWARM)

    def _asks(self, service: SwarmService) -> bool:
        asked = service.says("notify", self._prefix)
        return asked and not service.is_job and (service.is_global or service.replicas > 0)

    def _without_short_name(self, service: SwarmService) -> str | None:
        asked = public_name(service, self._prefix)
        if asked == self.name(service):
            return None
        return f"the short name {asked} is another service's, so that its name here is {service.name}"
