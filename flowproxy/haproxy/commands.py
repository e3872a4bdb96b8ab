"""Changes as runtime commands, and HAProxy's answers as values (management guide, 9.3 and 9.4)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from cryptography import x509

from flowproxy.haproxy.plan import (
    AddCertificate,
    AddEntry,
    AddServer,
    Change,
    ListCertificate,
    RemoveCertificate,
    RemoveEntry,
    RemoveServer,
    RestoreServer,
    SetCertificate,
    SetEntry,
    UnlistCertificate,
)
from flowproxy.rendering.configuration import certificate_file, map_file, map_line
from flowproxy.rendering.values import VALUES
from flowproxy.text.quoting import cli_word
from flowproxy.text.secrets import HIDDEN

_BYTES = 8000  # of one command with its payload, or of several on a line: they must fit into HAProxy's 16 KB buffer
_SILENT: frozenset[str] = frozenset()
_UP = "2"  # srv_op_state
_MAINTENANCE, _DRAIN = 0x01, 0x08  # srv_admin_state, as an administrator set it
_CHECKED = 0x04  # srv_check_state
# Answers to a new address, worded differently in each version; the address itself is read back.
_MOVED = re.compile(r"nothing changed|(no need to change|IP changed|port changed)\b.* by 'stats socket command'")

_VALUE = re.compile(rf"(set map {re.escape(map_file(VALUES))} (?:\\.|[^ ;\\])+) (?:\\.|[^ ;\\])+")


class Command(NamedTuple):
    """A text sent in one exchange, and the lines that may be answered; any other line means failure."""

    text: str
    answers: frozenset[str]

    @property
    def shown(self) -> str:
        """Return the beginning of the command without values of services, which may be secret, for the log."""
        return _VALUE.sub(rf"\1 {HIDDEN}", self.text.partition("\n")[0])[:200]

    def is_done(self, answer: str) -> bool:
        """Return whether the answer means success. HAProxy appends dots to some lines as a progress indicator."""
        lines = (_MOVED.sub("", line.strip()).rstrip(".") for line in answer.splitlines())
        return all(not line or line in self.answers for line in lines)


class Proof(NamedTuple):
    """A question, and whether its answer shows that the change was made."""

    question: str
    holds: Callable[[str], bool]


def commands(changes: Iterable[Change], leaving: set[tuple[str, str]], crt_list: str) -> Iterable[Command]:
    """Yield the changes in order, in as few commands as possible. `leaving` servers still exist."""
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
        case RestoreServer(backend, server, checked):
            name = f"{backend}/{server.name}"
            yield Command(f"set server {name} addr {server.address} port {server.port}", _SILENT)
            yield Command(f"set server {name} weight 100%", _SILENT)
            if checked:
                yield Command(f"enable health {name}", _SILENT)
            yield Command(f"set server {name} state ready", _SILENT)
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
        case ListCertificate(name):
            file = certificate_file(name)
            said = {"Success!", f"Inserting certificate '{file}' in crt-list '{crt_list}'"}
            yield Command(f"add ssl crt-list {crt_list} {file}", frozenset(said))
        case UnlistCertificate(place):
            file = place.rpartition(":")[0]
            deleted = frozenset({f"Entry '{file}' deleted in crtlist '{crt_list}'!"})
            yield Command(f"del ssl crt-list {crt_list} {place}", deleted)
        case SetCertificate(name, pem):
            yield from _certificate(name, pem)
        case RemoveCertificate(name):
            file = certificate_file(name)
            deleted = frozenset({f"Entry '{file}' deleted in crtlist '{crt_list}'!"})
            yield Command(f"del ssl crt-list {crt_list} {file}", deleted)
            yield Command(f"del ssl cert {file}", frozenset({f"Certificate '{file}' deleted!"}))


def proofs(changes: Iterable[Change]) -> Iterable[Proof]:
    """Yield the questions that verify the changes. For each server or key, the last change counts."""
    servers: dict[str, dict[str, tuple[str, ...] | None]] = {}
    entries: dict[tuple[str, str], str | None] = {}
    certificates: dict[str, str] = {}
    for change in changes:
        match change:
            case AddServer(backend, server) | RestoreServer(backend, server):
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
    """A line of `show servers state` (management guide, 9.3). `has_other_weight`: it differs from the initial one."""

    backend: str
    name: str
    address: str
    port: str
    is_up: bool
    is_in_maintenance: bool
    is_draining: bool
    is_checked: bool
    has_other_weight: bool


def server_states(answer: str) -> list[ServerState]:
    lines = [line.split() for line in answer.splitlines() if not line.startswith("#")]
    return [
        ServerState(
            backend=f[1],
            name=f[3],
            address=f[4],
            port=f[18],
            is_up=f[5] == _UP,
            is_in_maintenance=bool(int(f[6]) & _MAINTENANCE),
            is_draining=bool(int(f[6]) & _DRAIN),
            is_checked=bool(int(f[13]) & _CHECKED),
            has_other_weight=f[7] != f[8],
        )
        for f in lines
        if len(f) > 18
    ]


def map_entries(answer: str) -> tuple[tuple[str, str], ...] | None:
    """Return the keys and values in an answer to `show map`; None if there is no such map."""
    if answer.startswith("Unknown map"):
        return None
    lines = (line.split(" ", 2) for line in answer.splitlines() if line)
    return tuple((line[1], line[2]) for line in lines if len(line) == 3)


def fingerprints(answer: str) -> dict[str, str]:
    """Return the SHA-1 digest of each certificate in answers to `show ssl cert FILE`, by file."""
    found = {}
    for part in answer.split("Filename: ")[1:]:
        shown = fields(part)
        found[part.partition("\n")[0].strip()] = shown.get("SHA1 FingerPrint", "")
    return found


class ListEntry(NamedTuple):
    """An entry of a crt-list: a file, its position as `file:line`, and its filters, which Flowproxy's entries lack."""

    file: str
    place: str
    filters: str


def list_entries(answer: str) -> tuple[ListEntry, ...] | None:
    """Return the entries in an answer to `show ssl crt-list -n LIST`; None if HAProxy has no such list."""
    head, _, rest = answer.strip().partition("\n")
    if not head.startswith("# "):
        return None
    entries = []
    for line in rest.splitlines():
        place, _, filters = line.strip().partition(" ")
        if place:
            entries.append(ListEntry(place.rpartition(":")[0], place, filters))
    return tuple(entries)


class ServerHealth(NamedTuple):
    """The state of a server as HAProxy reports it, and the result of its last check."""

    name: str
    address: str
    state: str
    check: str

    @property
    def is_up(self) -> bool:
        return self.state.startswith("UP") or self.state == "no check"


def server_health(statistics: str) -> list[ServerHealth]:
    """Return the servers in an answer to `show stat` (management guide, 9.1)."""
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


def workers(processes: str) -> list[int]:
    """Return the pids of all workers that `show proc` lists, old ones included."""
    return [int(words[0]) for line in processes.splitlines() if (words := line.split())[1:2] == ["worker"]]


def has_streams(sessions: str) -> bool:
    """Return whether `show sess` lists a stream other than that of the runtime API itself. An idle connection has
    none."""
    return any(line and " fe=GLOBAL " not in line for line in sessions.splitlines())


def old_workers(processes: str) -> list[int]:
    old = processes.partition("# old workers")[2].partition("# programs")[0]
    return [int(line.split()[0]) for line in old.splitlines() if line and line[0].isdigit()]
