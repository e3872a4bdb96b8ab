"""The wanted services. Only the registry holds them; the reconciler knows what HAProxy runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from enum import StrEnum
from typing import NamedTuple

from flowproxy.errors import OwnedElsewhere
from flowproxy.services.certificate import Certificate
from flowproxy.services.model import Candidate, Endpoint, Service

_REMOVALS = 10_000  # remembered


class Origin(StrEnum):
    """The origin of a service. An earlier member outranks a later one when both describe the same name."""

    SWARM = "swarm"
    ENVIRONMENT = "environment"
    API = "api"

    def outranks(self, other: Origin) -> bool:
        order = list(Origin)
        return order.index(self) < order.index(other)


class Entry(NamedTuple):
    """One wanted service. `created`, in seconds since 1970, decides which of two equal claims is older. `stack` is
    the Swarm's, never one from a caller or a label of Flowproxy. `changed` is when a call of the API last set it."""

    service: Service
    origin: Origin
    created: float
    parameters: Mapping[str, str]
    stack: str = ""
    changed: float = 0.0

    @property
    def candidate(self) -> Candidate:
        """Return the service as the routes see it. All services of the environment have one owner, the operator."""
        if self.origin == Origin.ENVIRONMENT:
            return Candidate(self.service, self.created, "the environment")
        return Candidate(self.service, self.created, f"stack {self.stack}" if self.stack else "")


class Snapshot(NamedTuple):
    """The wanted state at one moment. `tasks` and `addresses` are the endpoints of Swarm services and of host names.

    `confirmed` is when the last complete listing confirmed all of them, in seconds since 1970. `stopping` says that
    the node is about to leave. `removed` are services that calls of the API have removed, with when they did.
    `remarks` are for the owners of services, about their tasks and networks.
    """

    generation: int
    entries: Mapping[str, Entry]
    invalid: Mapping[str, str]
    tasks: Mapping[str, tuple[Endpoint, ...]]
    addresses: Mapping[str, tuple[Endpoint, ...]]
    certificates: Mapping[str, Certificate]
    confirmed: float | None = None
    stopping: bool = False
    removed: Mapping[str, float] = {}
    remarks: Mapping[str, str] = {}

    @property
    def endpoints(self) -> Mapping[str, tuple[Endpoint, ...]]:
        """Return where services are: the tasks of a Swarm service before what its name resolves to."""
        return {**self.addresses, **self.tasks}


class Registry:
    """Sources write, the reconciler reads. Every write that changes something raises the generation and wakes it.

    Only the event loop may touch it; threads receive snapshots. It is one class because a snapshot must be of one
    moment and each write is a step of one generation.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.on_change = on_change
        self._generation = 0
        self._entries: dict[str, Entry] = {}
        self._invalid: dict[str, tuple[Origin, str]] = {}
        self._tasks: dict[str, tuple[Endpoint, ...]] = {}
        self._addresses: dict[str, tuple[Endpoint, ...]] = {}
        self._certificates: dict[str, Certificate] = {}
        self._users_of_hosts: Counter[str] = Counter()
        self._remarks: dict[str, str] = {}
        self._removed: dict[str, float] = {}
        self._newest = 0.0  # when the last one was created, changed or removed by API
        self._confirmed: float | None = None
        self._stopping = False

    @property
    def hosts(self) -> Set[str]:
        """Return every name that some destination sends its requests to."""
        return self._users_of_hosts.keys()

    def created_at(self, now: float) -> float:
        """Return the time of a new service or a change by API: now, but later than all known times, even if the clock
        was set back."""
        return max(now, math.nextafter(self._newest, math.inf))

    def put(self, entry: Entry) -> int:
        """Add or replace a service; return the generation that holds it.

        Raises OwnedElsewhere when a source that outranks this one describes the service differently.
        """
        name = entry.service.service_name
        present = self._entries.get(name)
        if present and present.origin.outranks(entry.origin):
            if present.service.asks_the_same(entry.service):
                return self._generation
            raise OwnedElsewhere(
                f"service {name}: its parameters come from {present.origin}, which outranks {entry.origin};"
                f" change them there"
            )
        self._invalid.pop(name, None)
        if present:
            same = present.service == entry.service
            entry = entry._replace(created=min(present.created, entry.created))
            if same and entry[1:3] == present[1:3] and entry[4:] == present[4:]:
                return self._generation
            if same:  # the renderer recognises an unchanged service by its identity
                entry = entry._replace(service=present.service)
        if entry.origin == Origin.API:
            self._removed.pop(name, None)
        self._enter(name, entry)
        return self._changed()

    def adopt(self, entry: Entry) -> int:
        """Take over a service from another replica, with its times there. Raises OwnedElsewhere."""
        name = entry.service.service_name
        present = self._entries.get(name)
        if present and present.origin == entry.origin:
            self._enter(name, None)
        return self.put(entry)

    def refuse(self, name: str, origin: Origin, reason: str) -> int:
        """Note that a service's parameters are wrong; its last good version, if there is one, stays."""
        if self._invalid.get(name) == (origin, reason):
            return self._generation
        self._invalid[name] = (origin, reason)
        return self._changed()

    def withdraw_refusal(self, name: str, origin: Origin) -> int:
        """Forget that a source described a service wrongly."""
        if name not in self._invalid or self._invalid[name][0] != origin:
            return self._generation
        del self._invalid[name]
        return self._changed()

    def remove(self, name: str, origin: Origin, at: float | None = None) -> int:
        """Remove a service; record that a call removed it `at` a time. An unknown name changes nothing else.

        Raises OwnedElsewhere when another source describes it.
        """
        present = self._entries.get(name)
        if present and present.origin.outranks(origin):
            raise OwnedElsewhere(f"service {name}: its parameters come from {present.origin}; remove it there")
        self._enter(name, None)
        self._remarks.pop(name, None)
        was_wrong = self._invalid.pop(name, None)
        if at is not None:
            self.note_removal(name, at)
        return self._changed() if present or was_wrong else self._generation

    def note_removal(self, name: str, at: float) -> None:
        """Record that a call has removed a service, or would have."""
        self._removed.pop(name, None)
        self._removed[name] = at
        self._newest = max(self._newest, at)
        if len(self._removed) > _REMOVALS:
            del self._removed[min(self._removed, key=self._removed.__getitem__)]

    def forget_removals(self, before: float) -> None:
        """Forget the removals before a time, in seconds since 1970."""
        self._removed = {name: at for name, at in self._removed.items() if at >= before}

    def retain(self, origin: Origin, names: Iterable[str]) -> int:
        """Forget the services and refusals of a source that are absent from its complete listing."""
        keep = frozenset(names)
        gone = [name for name, entry in self._entries.items() if entry.origin == origin and name not in keep]
        wrong = [name for name, (source, _) in self._invalid.items() if source == origin and name not in keep]
        for name in gone:
            self._enter(name, None)
            self._remarks.pop(name, None)
        for name in {*gone, *wrong}:
            self._invalid.pop(name, None)
        return self._changed() if gone or wrong else self._generation

    def place(self, name: str, endpoints: Iterable[Endpoint] | None) -> int:
        """Set where the tasks of a Swarm service are; None when the Swarm knows no such service."""
        return self._place(self._tasks, name, endpoints)

    def resolve(self, host: str, endpoints: Iterable[Endpoint] | None) -> int:
        """Set what a host name resolves to; None when no destination sends requests there any more."""
        return self._place(self._addresses, host, endpoints)

    def certify(self, certificates: Mapping[str, Certificate]) -> int:
        """Set the certificates, by name."""
        if certificates == self._certificates:
            return self._generation
        self._certificates = dict(certificates)
        return self._changed()

    def remark(self, name: str, text: str | None) -> bool:
        """Set the remark for the owner of a service, None for no remark; return whether it is new."""
        if self._remarks.get(name) == text:
            return False
        if text is None:
            del self._remarks[name]
        else:
            self._remarks[name] = text
        return True

    def confirm(self, at: float | None) -> None:
        """Note when a complete listing confirmed all endpoints; a time alone changes nothing that is served."""
        self._confirmed = at

    def stop(self) -> int:
        """Note that the node is about to leave."""
        self._stopping = True
        return self._changed()

    def touch(self) -> int:
        """Begin a new generation without a change, for a caller that waits until it is applied."""
        return self._changed()

    def get(self, name: str) -> Entry | None:
        """Return a wanted service."""
        return self._entries.get(name)

    def tasks_of(self, name: str) -> tuple[Endpoint, ...] | None:
        """Return where the tasks of a Swarm service are; None when it was not placed."""
        return self._tasks.get(name)

    def addresses_of(self, host: str) -> tuple[Endpoint, ...] | None:
        """Return what a host name resolves to; None when it was not looked up."""
        return self._addresses.get(host)

    def refusal(self, name: str) -> str | None:
        """Return why a service's parameters are wrong; None when they are not."""
        return self._invalid[name][1] if name in self._invalid else None

    def snapshot(self) -> Snapshot:
        """Return the wanted state as values."""
        return Snapshot(
            self._generation,
            dict(self._entries),
            {name: reason for name, (_, reason) in self._invalid.items()},
            dict(self._tasks),
            dict(self._addresses),
            dict(self._certificates),
            self._confirmed,
            self._stopping,
            dict(self._removed),
            dict(self._remarks),
        )

    def _enter(self, name: str, entry: Entry | None) -> None:
        before = self._entries.pop(name, None)
        if entry:
            self._entries[name] = entry
            self._newest = max(self._newest, entry.created, entry.changed)
            self._users_of_hosts.update(entry.service.hosts())
        for host in before.service.hosts() if before else ():
            self._users_of_hosts[host] -= 1
            if not self._users_of_hosts[host]:
                del self._users_of_hosts[host]

    def _place(self, where: dict[str, tuple[Endpoint, ...]], name: str, endpoints: Iterable[Endpoint] | None) -> int:
        placed = None if endpoints is None else tuple(sorted(endpoints))
        if where.get(name) == placed:
            return self._generation
        if placed is None:
            del where[name]
        else:
            where[name] = placed
        return self._changed()

    def _changed(self) -> int:
        self._generation += 1
        self.on_change()
        return self._generation
