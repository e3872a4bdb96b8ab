"""Asks the running worker what it holds, for a comparison with what it should hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from flowproxy.haproxy.commands import (
    ServerState,
    fields,
    fingerprints,
    list_entries,
    map_entries,
    server_states,
)
from flowproxy.haproxy.drift import Seen
from flowproxy.haproxy.sockets import CommandSocket
from flowproxy.rendering.configuration import Configuration, certificate_file, map_file


class Inspection:
    """Has a socket of its own: the answers are long, and no change waits for them."""

    def __init__(self, worker: CommandSocket, crt_list: Path) -> None:
        self._worker = worker
        self._crt_list = crt_list

    async def look(self, configuration: Configuration, pid: str | None) -> Seen | None:
        """Return what the worker holds of this configuration; None when it is another worker than that of the pid.

        Raises ProxyUnavailable.
        """
        info = fields(await self._worker.ask("show info"))
        if info.get("Pid") != pid:
            return None
        names = list(configuration.maps)
        files = {certificate_file(name): name for name in configuration.certificates}
        asked = ["show servers state", *(f"show map {map_file(name)}" for name in names)]
        if files:
            asked.append(f"show ssl crt-list -n {self._crt_list}")
            asked += [f"show ssl cert {file}" for file in files]
        answers = await self._worker.ask_all(asked)
        return await asyncio.to_thread(seen_in, answers, names, files)


def seen_in(answers: list[str], maps: list[str], files: Mapping[str, str]) -> Seen:
    """What the answers of a look say: of servers, of each of the maps, of the crt-list, and of each of the files."""
    servers: dict[str, dict[str, ServerState]] = {}
    for server in server_states(answers[0]):
        servers.setdefault(server.backend, {})[server.name] = server
    entries = zip(maps, map(map_entries, answers[1 : 1 + len(maps)]), strict=True)
    known = {name: found for name, found in entries if found is not None}
    if not files:
        return Seen(servers, known)
    listed, *certificates = answers[1 + len(maps) :]
    shown = fingerprints("\n".join(certificates))
    return Seen(servers, known, {name: shown[f] for f, name in files.items() if f in shown}, list_entries(listed))
