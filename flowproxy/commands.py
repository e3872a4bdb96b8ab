"""Changes as runtime commands, and HAProxy's answers as values (management guide, 9.3 and 9.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
from flowproxy.render import certificate_file, map_file

_PAYLOAD_BYTES = 8000  # one runtime command with its payload must fit into HAProxy's 16 KB buffer


def commands(
    changes: Iterable[Change], leaving: set[tuple[str, str]], crt_list: str
) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Each command with the last lines of answers that mean success (management guide, 9.3)."""
    batch: list[AddEntry] = []
    for change in changes:
        if isinstance(change, AddEntry):
            if batch and (batch[0].map != change.map or _size(batch) > _PAYLOAD_BYTES):
                yield _add_entries(batch), ("",)
                batch = []
            batch.append(change)
            continue
        if batch:
            yield _add_entries(batch), ("",)
            batch = []
        match change:
            case AddServer(backend, server, options):
                name = f"{backend}/{server.name}"
                if (backend, server.name) in leaving:
                    leaving.discard((backend, server.name))
                else:
                    yield f"add server {name} {server.socket_address} {options}", ("New server registered.",)
                    yield f"enable health {name}", ("",)
                yield f"set server {name} state ready", ("",)
            case RemoveServer(backend, server):
                yield f"set server {backend}/{server.name} state maint", ("",)
            case SetEntry(name, key, value):
                yield f"set map {map_file(name)} {cli_word(key)} {cli_word(value)}", ("",)
            case AddCertificate(name, pem):
                yield (
                    f"new ssl cert {certificate_file(name)}",
                    (f"New empty certificate store '{certificate_file(name)}'!",),
                )
                yield from _certificate(name, pem)
                yield f"add ssl crt-list {crt_list} {certificate_file(name)}", ("Success!",)
            case SetCertificate(name, pem):
                yield from _certificate(name, pem)
            case RemoveCertificate(name):
                file = certificate_file(name)
                yield f"del ssl crt-list {crt_list} {file}", (f"Entry '{file}' deleted in crtlist '{crt_list}'!",)
                yield f"del ssl cert {file}", (f"Certificate '{file}' deleted!",)
            case RemoveEntry(name, key):
                yield f"del map {map_file(name)} {cli_word(key)}", ("",)
    if batch:
        yield _add_entries(batch), ("",)


def _certificate(name: str, pem: str) -> Iterable[tuple[str, tuple[str, ...]]]:
    file = certificate_file(name)
    prepared = (f"Transaction created for certificate {file}!", f"Transaction updated for certificate {file}!")
    yield f"set ssl cert {file} <<\n{pem}", prepared
    yield f"commit ssl cert {file}", ("Success!",)


def _size(batch: list[AddEntry]) -> int:
    return sum(len(entry.key) + len(entry.value) + 2 for entry in batch)


def _add_entries(batch: list[AddEntry]) -> str:
    return f"add map {map_file(batch[0].map)} <<\n" + "".join(f"{entry.key} {entry.value}\n" for entry in batch)


def fields(info: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)


def failed_reloads(processes: str) -> int:
    found = re.search(r"\[failed: (\d+)\]", processes)
    return int(found[1]) if found else 0


def old_workers(processes: str) -> list[int]:
    old = processes.partition("# old workers")[2].partition("# programs")[0]
    return [int(line.split()[0]) for line in old.splitlines() if line and line[0].isdigit()]
