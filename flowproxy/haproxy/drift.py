"""Differences between the running HAProxy and its configuration, and the changes that revert them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from flowproxy.haproxy.commands import ListEntry, ServerState
from flowproxy.haproxy.names import map_in_haproxy
from flowproxy.haproxy.plan import (
    AddCertificate,
    AddEntry,
    AddServer,
    Change,
    ListCertificate,
    RemoveEntry,
    RemoveServer,
    RestoreServer,
    Running,
    SetCertificate,
    SetEntry,
    UnlistCertificate,
)
from flowproxy.rendering.configuration import Configuration, certificate_file
from flowproxy.rendering.sections import Section
from flowproxy.rendering.servers import Server

_WITHOUT_STATE = frozenset(
    ["agent-check", "disabled", "track"]
)  # options with which the server's state is not ours to set


class What(StrEnum):
    """Kinds of drift; counted in the metrics."""

    MAP = "map"
    SERVER = "server"
    CERTIFICATE = "certificate"
    CRT_LIST = "crt-list"


class Seen(NamedTuple):
    """The state of the running worker.

    `servers` by backend and name. Of `maps` those that the worker knows. `fingerprints` are the SHA-1 digests of
    certificates by their names, and `listed` the entries of the crt-list, None where the worker has none.
    """

    servers: Mapping[str, Mapping[str, ServerState]]
    maps: Mapping[str, tuple[tuple[str, str], ...]]
    fingerprints: Mapping[str, str] = {}
    listed: tuple[ListEntry, ...] | None = None


class Drift(NamedTuple):
    """One difference, and the change that reverts it. `key` is a route, `backend/server`, or a certificate."""

    what: What
    key: str
    change: Change


class State(NamedTuple):
    """The expected state of the runtime API, by the names in HAProxy."""

    servers: Mapping[str, tuple[Server, ...]]
    maps: Mapping[str, Mapping[str, str]]
    certificates: Mapping[str, str]


def state(configuration: Configuration, stand_ins: Mapping[str, str]) -> State:
    """Return what the runtime API should show of a configuration. Backends without servers are left out."""
    return State(
        {stand_ins.get(name, name): servers for name, servers in configuration.servers.items() if servers},
        {name: map_in_haproxy(name, entries, stand_ins) for name, entries in configuration.maps.items()},
        configuration.certificates,
    )


def find_drift(running: Running, seen: Seen, leaving: Collection[tuple[str, str]]) -> list[Drift]:
    """Return what differs from what the worker was brought to, in an order in which it can be repaired.

    Servers that are `leaving` (backend, name) are no difference. Whether a server is up is for its checks to say.
    """
    wanted = state(running.configuration, running.stand_ins)
    return [
        *_certificates(wanted.certificates, seen),
        *_servers(running, wanted, seen.servers, leaving),
        *_entries(wanted, seen),
        *_strange_servers(running, wanted, seen.servers, leaving),
    ]


def _certificates(wanted: Mapping[str, str], seen: Seen) -> Iterable[Drift]:
    if seen.listed is None:
        return
    listed = {entry.file for entry in seen.listed if not entry.filters}
    for name, pem in wanted.items():
        present = seen.fingerprints.get(name)
        if present is None:
            yield Drift(What.CERTIFICATE, name, AddCertificate(name, pem))
            continue
        if present != _fingerprint(pem):
            yield Drift(What.CERTIFICATE, name, SetCertificate(name, pem))
        if certificate_file(name) not in listed:
            yield Drift(What.CRT_LIST, name, ListCertificate(name))
    files = {certificate_file(name) for name in wanted}
    for entry in seen.listed:
        if entry.filters or entry.file not in files:
            yield Drift(What.CRT_LIST, entry.file, UnlistCertificate(entry.place))


@lru_cache(maxsize=20_000)
def _fingerprint(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA1()).hex().upper()  # noqa: S303 - HAProxy's


def _servers(
    running: Running,
    wanted: State,
    seen: Mapping[str, Mapping[str, ServerState]],
    leaving: Collection[tuple[str, str]],
) -> Iterable[Drift]:
    names = _names_in_haproxy(running)
    for backend, servers in wanted.servers.items():
        name = names.get(backend, backend)
        section = running.configuration.sections[name]
        present = seen.get(backend, {})
        for server in servers:
            found = present.get(server.name)
            if found is None:
                alone = all(other.name not in present for other in servers)
                change: Change = AddServer(backend, server, section.options(server), cautious=not alone)
            elif (backend, server.name) in leaving or _is_as_made(server, found, section):
                continue
            else:
                change = RestoreServer(backend, server, checked="check" in section.server_options.split())
            yield Drift(What.SERVER, f"{name}/{server.name}", change)


def _is_as_made(server: Server, found: ServerState, section: Section) -> bool:
    if not _is_same_place(server, found):
        return False
    options = section.server_options.split()
    if not _WITHOUT_STATE.isdisjoint(options):
        return True
    changed = found.is_in_maintenance or found.is_draining or found.has_other_weight
    return not changed and (found.is_checked or "check" not in options)


def _is_same_place(server: Server, found: ServerState) -> bool:
    if (server.address, str(server.port)) == (found.address, found.port):
        return True
    try:
        same = ip_address(server.address) == ip_address(found.address)
    except ValueError:  # a name: HAProxy shows what it resolves to
        same = True
    return same and str(server.port) == found.port


def _strange_servers(
    running: Running,
    wanted: State,
    seen: Mapping[str, Mapping[str, ServerState]],
    leaving: Collection[tuple[str, str]],
) -> Iterable[Drift]:
    """Of backends of ours alone, and not where the configuration itself has lines of servers."""
    names = _names_in_haproxy(running)
    for backend, servers in seen.items():
        section = running.loaded.get(backend)
        if section is None or _has_servers(section.text):
            continue
        own = {server.name for server in wanted.servers.get(backend, ())}
        for name, found in servers.items():
            if name not in own and (backend, name) not in leaving:
                strange = Server(name, found.address, int(found.port))
                yield Drift(What.SERVER, f"{names.get(backend, backend)}/{name}", RemoveServer(backend, strange))


def _has_servers(section: str) -> bool:
    return any(line.split()[:1] in (["server"], ["server-template"]) for line in section.splitlines())


def _names_in_haproxy(running: Running) -> Mapping[str, str]:
    """The backends that have a stand-in, by its name."""
    return {stand_in: name for name, stand_in in running.stand_ins.items()}


def _entries(wanted: State, seen: Seen) -> Iterable[Drift]:
    for name, entries in wanted.maps.items():
        if name not in seen.maps:
            continue
        missing = entries.keys() - {key for key, _ in seen.maps[name]}
        for key in sorted(missing):
            yield Drift(What.MAP, key, AddEntry(name, key, entries[key]))
        # A key may be there several times; `set map` and `del map` change all of them.
        for key, value in dict.fromkeys(seen.maps[name]):
            if key not in entries:
                yield Drift(What.MAP, key, RemoveEntry(name, key))
            elif value != entries[key]:
                yield Drift(What.MAP, key, SetEntry(name, key, entries[key]))
