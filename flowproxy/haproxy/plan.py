"""The plan from the running to the desired configuration: nothing, runtime commands, or a reload with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from flowproxy.haproxy.names import map_in_haproxy
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.sections import Section
from flowproxy.rendering.servers import Server
from flowproxy.rendering.spares import is_spare
from flowproxy.rendering.values import VALUES, backend_of


class AddServer(NamedTuple):
    """A new server. A `cautious` one gets no requests before its check has passed, because other servers remain."""

    backend: str
    server: Server
    options: str
    cautious: bool = False


class RemoveServer(NamedTuple):
    backend: str
    server: Server


class AddEntry(NamedTuple):
    map: str
    key: str
    value: str


class SetEntry(NamedTuple):
    map: str
    key: str
    value: str


class RemoveEntry(NamedTuple):
    map: str
    key: str


class AddCertificate(NamedTuple):
    name: str
    pem: str


class SetCertificate(NamedTuple):
    name: str
    pem: str


class RemoveCertificate(NamedTuple):
    name: str


class RestoreServer(NamedTuple):
    """Resets the address, weight, checks and state of an existing server to the configured ones."""

    backend: str
    server: Server
    checked: bool


class ListCertificate(NamedTuple):
    """Puts a loaded certificate back on the crt-list."""

    name: str


class UnlistCertificate(NamedTuple):
    """Removes a foreign entry from the crt-list, given as `file:line`."""

    place: str


Repair: TypeAlias = RestoreServer | ListCertificate | UnlistCertificate  # reverts changes made by others
Change: TypeAlias = (
    AddServer
    | RemoveServer
    | AddEntry
    | SetEntry
    | RemoveEntry
    | AddCertificate
    | SetCertificate
    | RemoveCertificate
    | Repair
)


class Nothing(NamedTuple):
    """HAProxy already runs the desired configuration."""


class Runtime(NamedTuple):
    """Changes through the runtime API, in a safe order, and the stand-ins after and before them."""

    changes: tuple[Change, ...]
    stand_ins: Mapping[str, str]
    before: Mapping[str, str]


class Cause(StrEnum):
    """Why HAProxy needs a new worker; counted in the metrics."""

    UNKNOWN = "unknown"  # at the start, after a failure, or on request
    HEAD = "frontend"
    PAGES = "error pages"
    BACKEND = "backend"
    RUNTIME = "runtime"  # the runtime API did not do it
    TIDY = "tidy"


class Reload(NamedTuple):
    """A new worker."""

    cause: Cause
    detail: str = ""


Plan: TypeAlias = Nothing | Runtime | Reload

MANY = 500  # commands take longer than a reload


@dataclass(frozen=True)
class Running:
    """The state of HAProxy's worker: its current configuration, the `loaded` sections that it was started with, by
    their names in HAProxy, and the spare that stands in for each backend added later.

    A `spent` spare is not used again: a server of its former service may still be leaving it.
    """

    configuration: Configuration
    loaded: Mapping[str, Section]
    stand_ins: Mapping[str, str]
    spent: frozenset[str] = frozenset()

    @classmethod
    def fresh(cls, configuration: Configuration) -> Running:
        """Return the state after a reload."""
        return cls(configuration, {**configuration.sections, **configuration.spares}, {})

    def after(self, plan: Plan, configuration: Configuration) -> Running:
        """Return the state after the plan has been applied."""
        match plan:
            case Reload():
                return Running.fresh(configuration)
            case Runtime(stand_ins=stand_ins):
                spent = self.spent.union(stand_ins.values())
                return replace(self, configuration=configuration, stand_ins=stand_ins, spent=spent)
            case Nothing():
                return replace(self, configuration=configuration)

    @property
    def untidy(self) -> bool:
        """Return whether a reload would remove stand-ins or unused backends."""
        wanted = self.configuration.sections
        return bool(self.stand_ins) or any(n not in wanted for n in self.loaded if not is_spare(n))


def make_plan(running: Running | None, wanted: Configuration) -> Plan:
    """Return the smallest plan that applies a configuration."""
    if running is None:
        return Reload(Cause.UNKNOWN)
    if running.configuration.head != wanted.head:
        return Reload(Cause.HEAD, "the frontend's rules changed")
    if running.configuration.pages != wanted.pages:
        return Reload(Cause.PAGES)
    stand_ins = _stand_ins(running, wanted)
    if isinstance(stand_ins, Reload):
        return stand_ins
    gone = tuple(_gone_servers(running, wanted, stand_ins))
    new = tuple(_new_servers(running, wanted, stand_ins))
    taken = {(change.backend, change.server.name) for change in new}
    making_room = tuple(change for change in gone if (change.backend, change.server.name) in taken)
    leaving = tuple(change for change in gone if change not in making_room)
    changes: tuple[Change, ...] = (
        *_certificates(running.configuration, wanted),
        *making_room,
        *new,
        *_entries(running, wanted, stand_ins),
        *leaving,
    )
    if len(changes) > MANY:
        return Reload(Cause.RUNTIME, f"{len(changes)} changes at once")
    return Runtime(changes, stand_ins, running.stand_ins) if changes or stand_ins != running.stand_ins else Nothing()


def described(plan: Plan) -> str:
    """Describe a plan for the log: the reason for a reload, or what changes without one."""
    match plan:
        case Reload(cause, detail):
            return f"{cause}: {detail}" if detail else str(cause)
        case Runtime(changes, stand_ins, before):
            names = {spare: name for name, spare in [*before.items(), *stand_ins.items()]}
            subjects = dict.fromkeys(names.get(subject, subject) for subject in map(_subject, changes))
            return _few("changed", list(subjects))
    return "nothing"


def _subject(change: Change) -> str:
    match change:
        case AddServer(backend) | RemoveServer(backend) | RestoreServer(backend):
            return backend
        case AddEntry(map, key) | SetEntry(map, key) | RemoveEntry(map, key) if map == VALUES:
            return backend_of(key)
        case AddEntry(_, _, backend) | SetEntry(_, _, backend):
            return backend
        case RemoveEntry(_, key):
            return f"the route {key}"
        case AddCertificate(name) | SetCertificate(name) | RemoveCertificate(name):
            return f"the certificate {name}"
        case ListCertificate(name) | UnlistCertificate(name):
            return f"the certificate {name}"


def _stand_ins(running: Running, wanted: Configuration) -> Mapping[str, str] | Reload:
    """Return the spare for each backend that the worker was not started with; a reload if none fits."""
    before = running.configuration.sections
    kept: dict[str, str] = {}
    homeless = []
    for name, section in wanted.sections.items():
        stand_in = running.stand_ins.get(name)
        if stand_in is not None:
            if section is before.get(name) or _is_alike(section, before.get(name)):
                kept[name] = stand_in
            else:
                homeless.append(name)
        elif running.loaded.get(name) is not section and running.loaded.get(name) != section:
            homeless.append(name)
    if not homeless:
        return kept
    free: dict[str | None, list[str]] = {}
    for name, section in running.loaded.items():
        if is_spare(name) and name not in running.spent:
            free.setdefault(section.shape, []).append(name)
    for name in homeless:
        shape = wanted.sections[name].shape
        if shape is None or name in wanted.fixed or not free.get(shape):
            changed = [name for name in homeless if name in before]
            new = [name for name in homeless if name not in before]
            return Reload(Cause.BACKEND, ", ".join(filter(None, [_few("new", new), _few("changed", changed)])))
        kept[name] = free[shape].pop(0)
    return kept


def _is_alike(section: Section, other: Section | None) -> bool:
    return other is not None and section.shape == other.shape and section.server_options == other.server_options


def _few(what: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _new_servers(running: Running, wanted: Configuration, stand_ins: Mapping[str, str]) -> Iterable[AddServer]:
    for name, servers in wanted.servers.items():
        backend = stand_ins.get(name, name)
        present = running.configuration.servers.get(name, ())
        if running.stand_ins.get(name, name) != backend:
            present = ()
        if servers is not present:
            others_stay = not set(present).isdisjoint(servers)
            for server in servers:
                if server not in present:
                    yield AddServer(backend, server, wanted.sections[name].options(server), cautious=others_stay)


def _gone_servers(running: Running, wanted: Configuration, stand_ins: Mapping[str, str]) -> Iterable[RemoveServer]:
    for name, servers in running.configuration.servers.items():
        backend = running.stand_ins.get(name, name)
        staying = wanted.servers.get(name, ())
        if stand_ins.get(name, name) != backend:
            staying = ()
        if servers is not staying:
            for server in servers:
                if server not in staying:
                    yield RemoveServer(backend, server)


def _certificates(running: Configuration, wanted: Configuration) -> Iterable[Change]:
    for name, pem in wanted.certificates.items():
        if name not in running.certificates:
            yield AddCertificate(name, pem)
        elif running.certificates[name] != pem:
            yield SetCertificate(name, pem)
    for name in running.certificates:
        if name not in wanted.certificates:
            yield RemoveCertificate(name)


def _entries(running: Running, wanted: Configuration, stand_ins: Mapping[str, str]) -> Iterable[Change]:
    """Yield map changes: values of a backend are added before its first route and removed after its last."""

    def changed(name: str) -> Iterable[AddEntry | SetEntry | RemoveEntry]:
        before = map_in_haproxy(name, running.configuration.maps.get(name, {}), running.stand_ins)
        after = map_in_haproxy(name, wanted.maps.get(name, {}), stand_ins)
        for key, value in sorted(after.items() - before.items()):
            yield SetEntry(name, key, value) if key in before else AddEntry(name, key, value)
        for key in sorted(before.keys() - after.keys()):
            yield RemoveEntry(name, key)

    values = list(changed(VALUES))
    yield from (change for change in values if not isinstance(change, RemoveEntry))
    for name in wanted.maps:
        if name != VALUES:
            yield from changed(name)
    yield from (change for change in values if isinstance(change, RemoveEntry))
