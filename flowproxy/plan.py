"""From what runs to what is wanted: nothing, runtime commands, or a reload with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from flowproxy.render import Configuration, Server


class AddServer(NamedTuple):
    backend: str
    server: Server
    options: str


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


Change: TypeAlias = (
    AddServer | RemoveServer | AddEntry | SetEntry | RemoveEntry | AddCertificate | SetCertificate | RemoveCertificate
)


UNKNOWN = "at the start, after a failure, or on request"


class Nothing(NamedTuple):
    """HAProxy is there already."""


class Runtime(NamedTuple):
    """Changes through the runtime API, in the order in which they are safe."""

    changes: tuple[Change, ...]


class Reload(NamedTuple):
    """A new worker, because of `reason`."""

    reason: str


Plan: TypeAlias = Nothing | Runtime | Reload


def make_plan(running: Configuration | None, wanted: Configuration) -> Plan:
    """The least that brings HAProxy from one configuration to the other."""
    if running is None:
        return Reload(UNKNOWN)
    if running.digest != wanted.digest:
        return Reload(_difference(running, wanted))
    gone = tuple(_gone_servers(running, wanted))
    new = tuple(_new_servers(running, wanted))
    taken = {(change.backend, change.server.name) for change in new}
    making_room = tuple(change for change in gone if (change.backend, change.server.name) in taken)
    leaving = tuple(change for change in gone if change not in making_room)
    changes: tuple[Change, ...] = (
        *_certificates(running, wanted),
        *making_room,
        *new,
        *_entries(running, wanted),
        *leaving,
    )
    return Runtime(changes) if changes else Nothing()


def applied(running: Configuration, changes: Iterable[Change]) -> Configuration:
    """The configuration after runtime changes."""
    servers = {name: {server.name: server for server in listed} for name, listed in running.servers.items()}
    maps = {name: dict(entries) for name, entries in running.maps.items()}
    certificates = dict(running.certificates)
    for change in changes:
        match change:
            case AddServer(backend, server, _):
                servers[backend][server.name] = server
            case RemoveServer(backend, server):
                del servers[backend][server.name]
            case AddEntry(name, key, value) | SetEntry(name, key, value):
                maps[name][key] = value
            case RemoveEntry(name, key):
                del maps[name][key]
            case AddCertificate(name, pem) | SetCertificate(name, pem):
                certificates[name] = pem
            case RemoveCertificate(name):
                del certificates[name]
    return running.model_copy(
        update={
            "servers": {name: tuple(sorted(listed.values())) for name, listed in servers.items()},
            "maps": {name: dict(sorted(entries.items())) for name, entries in maps.items()},
            "certificates": certificates,
        }
    )


def _difference(running: Configuration, wanted: Configuration) -> str:
    added = [name for name in wanted.sections if name not in running.sections]
    gone = [name for name in running.sections if name not in wanted.sections]
    changed = [name for name, section in wanted.sections.items() if running.sections.get(name, section) != section]
    reasons = [
        f"{what} {_few(names)}"
        for what, names in (("new backend", added), ("backend gone", gone), ("backend changed", changed))
        if names
    ]
    if running.head != wanted.head:
        reasons.append("the frontend's rules changed")
    return ", ".join(reasons) or "the error pages changed"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _new_servers(running: Configuration, wanted: Configuration) -> Iterable[AddServer]:
    for backend, servers in wanted.servers.items():
        present = running.servers.get(backend, ())
        for server in servers:
            if server not in present:
                yield AddServer(backend, server, wanted.sections[backend].options(server))


def _gone_servers(running: Configuration, wanted: Configuration) -> Iterable[RemoveServer]:
    for backend, servers in running.servers.items():
        staying = wanted.servers.get(backend, ())
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


def _entries(running: Configuration, wanted: Configuration) -> Iterable[Change]:
    for name, entries in wanted.maps.items():
        present: Mapping[str, str] = running.maps.get(name, {})
        for key, value in entries.items():
            if key not in present:
                yield AddEntry(name, key, value)
            elif present[key] != value:
                yield SetEntry(name, key, value)
        for key in present:
            if key not in entries:
                yield RemoveEntry(name, key)
