"""The one loop: whenever something is wanted, compile, render, plan and apply what is wanted now.

It never acts on what an event said, only on the registry's snapshot; wake-ups that arrive while it works are
one more round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, NoReturn

import structlog

from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.listeners import compile_listeners
from flowproxy.parameters import certificate_of
from flowproxy.plan import UNKNOWN, Nothing, Plan, Reload, Runtime, make_plan
from flowproxy.proxy import Proxy
from flowproxy.registry import Entry, Registry, Snapshot
from flowproxy.render import Configuration, Renderer
from flowproxy.routing import Candidate, RouteTable, compile_routes
from flowproxy.store import Store

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0
_EMPTY = compile_routes(())


class Outcome(NamedTuple):
    """How the last round ended. `failure` says why HAProxy is not where it should be."""

    generation: int = 0
    applied: int = 0
    quarantined: Mapping[str, str] = {}
    table: RouteTable = _EMPTY
    configuration: Configuration | None = None
    failure: str | None = None


class _Waiter(NamedTuple):
    generation: int
    name: str
    done: asyncio.Future[None]


class Reconciler:
    """Holds what HAProxy runs, and the last good version of each service."""

    def __init__(self, registry: Registry, renderer: Renderer, proxy: Proxy, store: Store) -> None:
        self._registry = registry
        self._renderer = renderer
        self._proxy = proxy
        self._store = store
        self._awake = asyncio.Event()
        self._running: Configuration | None = None
        self._accepted: Mapping[str, Entry] = {}
        self._rejected: dict[str, tuple[Entry, str]] = {}
        self._waiters: list[_Waiter] = []
        self.between_rounds = asyncio.Lock()  # whoever holds it knows that no reload is under way
        self.outcome = Outcome()

    def wake(self) -> None:
        self._awake.set()

    def forget_running(self) -> None:
        """Whatever HAProxy runs, the next round reloads."""
        self._running = None
        self.wake()

    async def run(self) -> NoReturn:
        while True:
            await self._awake.wait()
            self._awake.clear()
            async with self.between_rounds:
                self.outcome = await self._round(self._registry.snapshot())
            self._tell_waiters()
            if self.outcome.failure:
                await self._rest()

    async def live(self, generation: int, name: str) -> None:
        """Returns when the service, as it was in this generation, is served.

        Raises Rejected when HAProxy refuses it, ProxyUnavailable when HAProxy cannot be brought there.
        """
        if self.outcome.applied < generation or self.outcome.failure:
            waiter = _Waiter(generation, name, asyncio.get_running_loop().create_future())
            self._waiters.append(waiter)
            self.wake()
            await waiter.done
        elif name in self.outcome.quarantined:
            raise Rejected(self.outcome.quarantined[name])

    async def _round(self, snapshot: Snapshot) -> Outcome:
        started = time.perf_counter()
        outcome = self.outcome._replace(generation=snapshot.generation)
        try:
            await asyncio.to_thread(self._store.save, snapshot)
            entries = {name: entry for name, entry in snapshot.entries.items() if not self._is_rejected(entry)}
            entries |= {n: self._accepted[n] for n in snapshot.entries.keys() - entries.keys() if n in self._accepted}
            table, wanted, plan = await self._converge(entries, snapshot)
        except Rejected as error:
            offenders = await self._offenders(snapshot)
            if not offenders:
                _log.error("configuration rejected", reason=str(error))
                return outcome._replace(failure=str(error))
            self._rejected |= offenders
            for name, (_, reason) in offenders.items():
                _log.warning("service quarantined", service=name, reason=reason)
            return await self._round(snapshot)
        except (ProxyUnavailable, OSError) as error:
            self._running = None
            _log.error("round failed", reason=str(error))
            return outcome._replace(failure=str(error))
        self._accepted = entries
        self._rejected = {
            name: rejected
            for name, rejected in self._rejected.items()
            if name in snapshot.entries and self._is_rejected(snapshot.entries[name])
        }
        self._log_round(plan, snapshot, table, time.perf_counter() - started)
        return Outcome(
            generation=snapshot.generation,
            applied=snapshot.generation,
            quarantined={
                **snapshot.invalid,
                **{name: reason for name, (_, reason) in self._rejected.items()},
            },
            table=table,
            configuration=wanted,
        )

    def _compile(self, entries: Mapping[str, Entry], snapshot: Snapshot) -> tuple[RouteTable, Configuration]:
        candidates = [Candidate(entry.service, entry.created) for entry in entries.values()]
        certificates = dict(snapshot.certificates)
        for entry in entries.values():
            if certificate := certificate_of(entry.service):
                certificates.setdefault(certificate.name, certificate)
        listening = compile_listeners(candidates, self._renderer.http_ports(certified=bool(certificates)))
        table = compile_routes(candidates)
        wanted = self._renderer.render(table, snapshot.endpoints, certificates.values(), listening)
        return replace(table, conflicts=table.conflicts + listening.conflicts), wanted

    async def _converge(
        self, entries: Mapping[str, Entry], snapshot: Snapshot
    ) -> tuple[RouteTable, Configuration, Plan]:
        table, wanted = self._compile(entries, snapshot)
        plan = make_plan(self._running, wanted)
        try:
            await self._proxy.apply(plan, wanted)
        except ProxyUnavailable as error:
            if not isinstance(plan, Runtime):
                raise
            plan = Reload(f"the runtime API did not do it: {error}")
            await self._proxy.apply(plan, wanted)
        self._running = wanted
        return table, wanted, plan

    async def _offenders(self, snapshot: Snapshot) -> dict[str, tuple[Entry, str]]:
        """The new or changed services that HAProxy refuses beside those that it accepted."""
        entries = snapshot.entries
        good = {name: entry for name, entry in self._accepted.items() if name in entries}
        changed = [n for n, entry in entries.items() if good.get(n) != entry and not self._is_rejected(entry)]
        return await self._search(good, changed, snapshot)

    async def _search(
        self, good: dict[str, Entry], names: list[str], snapshot: Snapshot
    ) -> dict[str, tuple[Entry, str]]:
        """Halves the suspects until those are left that fail alone; the others are added to the good ones."""
        suspects = {name: snapshot.entries[name] for name in names}
        try:
            _, together = self._compile({**good, **suspects}, snapshot)
            await self._proxy.check(together)
        except Rejected as error:
            if len(names) == 1:
                return {names[0]: (suspects[names[0]], str(error))}
            half = len(names) // 2
            first = await self._search(good, names[:half], snapshot) if half else {}
            return first | (await self._search(good, names[half:], snapshot) if names else {})
        good.update(suspects)
        return {}

    def _is_rejected(self, entry: Entry) -> bool:
        rejected = self._rejected.get(entry.service.service_name)
        return rejected is not None and rejected[0].service == entry.service

    def _tell_waiters(self) -> None:
        outcome = self.outcome
        waiting = []
        for waiter in self._waiters:
            if waiter.done.done():
                continue
            if outcome.generation < waiter.generation:
                waiting.append(waiter)
            elif outcome.failure:
                waiter.done.set_exception(ProxyUnavailable(outcome.failure))
            elif waiter.name in outcome.quarantined:
                waiter.done.set_exception(Rejected(outcome.quarantined[waiter.name]))
            else:
                waiter.done.set_result(None)
        self._waiters = waiting

    async def _rest(self) -> None:
        """Before the next try; a change of what is wanted does not wait."""
        try:
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._awake.wait()
        except TimeoutError:
            self.wake()

    def _log_round(self, plan: Plan, snapshot: Snapshot, table: RouteTable, seconds: float) -> None:
        facts = {
            "generation": snapshot.generation,
            "services": len(snapshot.entries),
            "ms": round(seconds * 1000),
        }
        for conflict in set(table.conflicts) - set(self.outcome.table.conflicts):
            _log.warning("conflict", route=conflict.route, winner=conflict.winner, loser=conflict.loser)
        match plan:
            case Reload(reason):
                _log.info("configured" if reason == UNKNOWN else "reloaded", reason=reason, **facts)
            case Runtime(changes):
                _log.info("updated without reload", changes=len(changes), **facts)
            case Nothing():
                _log.debug("nothing to do", **facts)
