"""Changes as runtime commands, and HAProxy's answers as values (management guide, 9.3 and 9.4)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from cryptography import x509

from flowproxy.plan import (
    AddCertificate,
    AddEntry,
    AddServer,
    Change,
    RemoveCertificate,
    RemoveEntry,
    RemoveServer,
    SetCertificate,
    SetEntry,
)
from flowproxy.quoting import cli_word
from flowproxy.render import certificate_file, map_file, map_line

_BYTES = 8000  # of one command with its payload, or of several on a line: they must fit into HAProxy's 16 KB buffer
_SILENT: frozenset[str] = frozenset()
_UP = "2"  # srv_op_state


class Command(NamedTuple):
    """What is sent at once, and the lines that may be answered; everything else means failure."""

    text: str
    answers: frozenset[str]

    def is_done(self, answer: str) -> bool:
        """HAProxy shows how it gets on by dots behind some lines, as many as it takes."""
        lines = (line.strip().rstrip(".") for line in answer.splitlines())
        return all(not line or line in self.answers for line in lines)


class Proof(NamedTuple):
    """A question, and whether its answer shows that the change was made."""

    question: str
    holds: Callable[[str], bool]


def commands(changes: Iterable[Change], leaving: set[tuple[str, str]], crt_list: str) -> Iterable[Command]:
    """The changes in their order, as few exchanges as they fit in. `leaving` servers are there still."""
    entries: list[AddEntry] = []
    line: list[Command] = []
    for change in changes:
        if entries and not (isinstance(change, AddEntry) and change.map == entries[0].map and _size(entries) < _BYTES):
            yield _add_entries(entries)
            entries = []
        if isinstance(change, AddEntry):
            if line:
                yield _joined(line)
                line = []
            entries.append(change)
            continue
        for command in _commands(change, leaving, crt_list):
            alone = "\n" in command.text
            if line and (alone or sum(len(other.text) for other in line) > _BYTES):
                yield _joined(line)
                line = []
            if alone:
                yield command
            else:
                line.append(command)
    if entries:
        yield _add_entries(entries)
    if line:
        yield _joined(line)


def _commands(change: Change, leaving: set[tuple[str, str]], crt_list: str) -> Iterable[Command]:
    match change:
        case AddServer(backend, server, options, cautious):
            name = f"{backend}/{server.name}"
            if (backend, server.name) in leaving:
                leaving.discard((backend, server.name))
            else:
                added = frozenset({"New server registered"})
                yield Command(f"add server {name} {server.socket_address} {options}", added)
                if "check" in options:
                    yield Command(f"enable health {name}", _SILENT)
            yield Command(f"set server {name} state ready", _SILENT)
            if cautious and "check" in options:  # others serve until its check has passed
                yield Command(f"set server {name} health down", _SILENT)
        case RemoveServer(backend, server):
            yield Command(f"set server {backend}/{server.name} state maint", _SILENT)
        case AddEntry(name, key, value) | SetEntry(name, key, value):
            map_line(key, value)
            yield Command(f"set map {map_file(name)} {cli_word(key)} {cli_word(value)}", _SILENT)
        case RemoveEntry(name, key):
            yield Command(f"del map {map_file(name)} {cli_word(key)}", _SILENT)
        case AddCertificate(name, pem):
            file = certificate_file(name)
            yield Command(f"new ssl cert {file}", frozenset({f"New empty certificate store '{file}'!"}))
            yield from _certificate(name, pem)
            said = {"Success!", f"Inserting certificate '{file}' in crt-list '{crt_list}'"}
            yield Command(f"add ssl crt-list {crt_list} {file}", frozenset(said))
        case SetCertificate(name, pem):
            yield from _certificate(name, pem)
        case RemoveCertificate(name):
            file = certificate_file(name)
            deleted = frozenset({f"Entry '{file}' deleted in crtlist '{crt_list}'!"})
            yield Command(f"del ssl crt-list {crt_list} {file}", deleted)
            yield Command(f"del ssl cert {file}", frozenset({f"Certificate '{file}' deleted!"}))


def proofs(changes: Iterable[Change]) -> Iterable[Proof]:
    """Reads back what the changes came to. Of a backend or a key the last change counts."""
    servers: dict[str, dict[str, tuple[str, ...] | None]] = {}
    entries: dict[tuple[str, str], str | None] = {}
    certificates: dict[str, str] = {}
    for change in changes:
        match change:
            case AddServer(backend, server):
                servers.setdefault(backend, {})[server.name] = (server.address, str(server.port))
            case RemoveServer(backend, server):
                servers.setdefault(backend, {})[server.name] = None
            case AddEntry(name, key, value) | SetEntry(name, key, value):
                entries[name, key] = value
            case RemoveEntry(name, key):
                entries[name, key] = None
            case AddCertificate(name, pem) | SetCertificate(name, pem):
                certificates[name] = pem
            case RemoveCertificate(name):
                certificates.pop(name, None)
    for backend, wanted in servers.items():
        yield Proof(f"show servers state {backend}", partial(_shows_servers, wanted))
    for (name, key), placed in entries.items():
        yield Proof(f"get map {map_file(name)} {cli_word(key)}", partial(_shows_entry, key, placed))
    for file, pem in certificates.items():
        yield Proof(f"show ssl cert {certificate_file(file)}", partial(_shows_certificate, pem))


def _shows_servers(wanted: Mapping[str, tuple[str, ...] | None], answer: str) -> bool:
    found = {server.name: server for server in server_states(answer)}
    for name, place in wanted.items():
        server = found.get(name)
        if place is None and server and not server.is_in_maintenance:
            return False
        if place and (server is None or server.is_in_maintenance or (server.address, server.port) != place):
            return False
    return True


def _shows_entry(key: str, value: str | None, answer: str) -> bool:
    if value is None:
        return f'key="{key}", ' not in answer
    return f'key="{key}", value="{value}"' in answer


def _shows_certificate(pem: str, answer: str) -> bool:
    leaf = x509.load_pem_x509_certificate(pem.encode())
    return f"Serial: {leaf.serial_number:X}" in answer.replace("Serial: 0", "Serial: ")


def _certificate(name: str, pem: str) -> Iterable[Command]:
    file = certificate_file(name)
    prepared = {f"Transaction created for certificate {file}!", f"Transaction updated for certificate {file}!"}
    yield Command(f"set ssl cert {file} <<\n{pem}", frozenset(prepared))
    yield Command(f"commit ssl cert {file}", frozenset({f"Committing {file}", "Success!"}))


def _size(entries: list[AddEntry]) -> int:
    return sum(len(entry.key) + len(entry.value) + 2 for entry in entries)


def _add_entries(entries: list[AddEntry]) -> Command:
    lines = "".join(f"{map_line(entry.key, entry.value)}\n" for entry in entries)
    return Command(f"add map {map_file(entries[0].map)} <<\n{lines}", _SILENT)


def _joined(line: list[Command]) -> Command:
    return Command(";".join(command.text for command in line), frozenset().union(*(c.answers for c in line)))


class ServerState(NamedTuple):
    """A line of `show servers state` (management guide, 9.3)."""

    name: str
    address: str
    port: str
    is_up: bool
    is_in_maintenance: bool


def server_states(answer: str) -> list[ServerState]:
    lines = [line.split() for line in answer.splitlines() if not line.startswith("#")]
    return [
        ServerState(name=f[3], address=f[4], port=f[18], is_up=f[5] == _UP, is_in_maintenance=bool(int(f[6]) & 1))
        for f in lines
        if len(f) > 18
    ]


class ServerHealth(NamedTuple):
    """What HAProxy thinks of a server, in its own words, and what its last check said."""

    name: str
    address: str
    state: str
    check: str

    @property
    def is_up(self) -> bool:
        return self.state.startswith("UP") or self.state == "no check"


def server_health(statistics: str) -> list[ServerHealth]:
    """The servers in an answer to `show stat` (management guide, 9.1)."""
    rows = csv.DictReader(statistics.removeprefix("# ").splitlines())
    return [
        ServerHealth(
            row["svname"], row["addr"], row["status"], ": ".join(filter(None, (row["check_desc"], row["last_chk"])))
        )
        for row in rows
        if row.get("type") == "2"
    ]


def fields(info: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)


def failed_reloads(processes: str) -> int:
    found = re.search(r"\[failed: (\d+)\]", processes)
    return int(found[1]) if found else 0


def old_workers(processes: str) -> list[int]:
    old = processes.partition("# old workers")[2].partition("# programs")[0]
    return [int(line.split()[0]) for line in old.splitlines() if line and line[0].isdigit()]
