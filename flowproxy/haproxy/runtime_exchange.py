"""Changes the running worker by runtime commands, and reads back that it was done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.commands import commands, proofs, server_states
from flowproxy.haproxy.plan import Change, RemoveServer
from flowproxy.haproxy.sockets import CommandSocket


class RuntimeExchange:
    """Sends changes, and deletes servers when their last request has ended."""

    def __init__(self, worker: CommandSocket, crt_list: Path) -> None:
        self._worker = worker
        self._crt_list = str(crt_list)
        self._leaving: set[tuple[str, str]] = set()

    @property
    def leaving(self) -> frozenset[tuple[str, str]]:
        """The servers, as (backend, name), that are to be deleted when their last request has ended."""
        return frozenset(self._leaving)

    def forget_leaving(self) -> None:
        """Forget the leaving servers: a new worker has none."""
        self._leaving.clear()

    async def change(self, changes: tuple[Change, ...]) -> None:
        """Apply the changes and verify them. Raises ProxyUnavailable if one did not take effect."""
        leaving = tuple(change for change in changes if isinstance(change, RemoveServer))
        together = len(changes) - len(leaving)
        await self._send(changes[:together])
        for backend in {change.backend for change in leaving}:
            await self._admit_who_stays(backend, {c.server.name for c in leaving if c.backend == backend})
        await self._send(changes[together:])
        self._leaving |= {(change.backend, change.server.name) for change in leaving}
        for proof in proofs(changes):
            if not proof.holds(await self._worker.ask(proof.question)):
                raise ProxyUnavailable(
                    f"the change did not take effect, according to HAProxy's answer to {proof.question!r}"
                )

    async def delete_leaving(self) -> None:
        """Delete each leaving server whose last request has ended; until then it gets no new ones."""
        for backend, name in sorted(self._leaving):
            with contextlib.suppress(ProxyUnavailable):
                answer = await self._worker.ask(f"del server {backend}/{name}")
                if answer in ("Server deleted.", "No such server.", "No such backend."):
                    self._leaving.discard((backend, name))

    async def _send(self, changes: Iterable[Change]) -> None:
        for command in commands(changes, self._leaving, self._crt_list):
            answer = await self._worker.ask(command.text)
            if not command.is_done(answer):
                raise ProxyUnavailable(f"HAProxy answered {answer!r} to {command.shown!r}")

    async def _admit_who_stays(self, backend: str, leaving: set[str]) -> None:
        """Enable servers that wait for their first check if no other server is available."""
        servers = server_states(await self._worker.ask(f"show servers state {backend}"))
        staying = [server for server in servers if not server.is_in_maintenance and server.name not in leaving]
        if not any(server.is_up for server in staying):
            for server in staying:
                await self._worker.ask(f"set server {backend}/{server.name} health up")
