"""The one loop: whenever something is wanted, compile, render, plan and apply what is wanted now.

It never acts on what an event said, only on the registry's snapshot; wake-ups that arrive while it works are
one more round.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, NoReturn

import structlog

from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.listeners import compile_listeners
from flowproxy.parameters import certificate_of
from flowproxy.plan import Cause, Nothing, Plan, Reload, Running, Runtime, described, make_plan
from flowproxy.proxy import Proxy
from flowproxy.registry import Entry, Registry, Snapshot
from flowproxy.render import SPARE, Configuration, Renderer
from flowproxy.routing import Candidate, Compiler, RouteTable, compile_routes
from flowproxy.store import Store

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0
_SPARE = re.compile(rf"{SPARE}\d+")
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

    def __init__(
        self, registry: Registry, renderer: Renderer, proxy: Proxy, store: Store, *, tidy_after: float
    ) -> None:
        self._registry = registry
        self._renderer = renderer
        self._proxy = proxy
        self._store = store
        self._tidy_after = tidy_after
        self._tidying = False
        self._awake = asyncio.Event()
        self._compiler = Compiler()
        self._running: Running | None = None
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

    def by_name(self, figures: str) -> str:
        """Lines about backends, with those of stand-ins under the names that they stand in for, and none of spares."""
        names = {spare: name for name, spare in self._running.stand_ins.items()} if self._running else {}
        lines = []
        for line in figures.splitlines(keepends=True):
            found = _SPARE.search(line)
            if found is None:
                lines.append(line)
            elif found[0] in names:
                lines.append(line.replace(found[0], names[found[0]]))
        return "".join(lines)

    async def run(self) -> NoReturn:
        while True:
            await self._until_woken()
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

    async def _converge(
        self, entries: Mapping[str, Entry], snapshot: Snapshot
    ) -> tuple[RouteTable, Configuration, Plan]:
        table, wanted = self._compile(entries, snapshot, self._compiler, self._renderer)
        running = self._running
        plan = make_plan(running, wanted)
        if self._tidying and not isinstance(plan, Reload):
            plan = Reload(Cause.TIDY)
        if isinstance(plan, Reload):
            await self._check_changed(entries, snapshot)
        try:
            await self._proxy.apply(plan, wanted)
        except ProxyUnavailable as error:
            if not isinstance(plan, Runtime):
                raise
            plan = Reload(Cause.RUNTIME, str(error))
            await self._proxy.apply(plan, wanted)
        if self._running is running:  # and was not forgotten meanwhile
            self._running = running.after(plan, wanted) if running else Running.fresh(wanted)
        self._tidying = False
        return table, wanted, plan

    async def _check_changed(self, entries: Mapping[str, Entry], snapshot: Snapshot) -> None:
        """Has HAProxy look at what is new alone: the others are as they were when it accepted them. Raises Rejected."""
        changed = {name: entry for name, entry in entries.items() if self._accepted.get(name) != entry}
        clashing = any(entry.service.brings_templates for entry in changed.values())
        in_doubt = self._running is None or self.outcome.failure is not None
        if clashing or in_doubt:
            changed = dict(entries)
        if changed or in_doubt:
            _, alone = self._compile(changed, snapshot, Compiler(), self._renderer.apart(), with_certificates=1)
            await self._proxy.check(alone)

    def _compile(
        self,
        entries: Mapping[str, Entry],
        snapshot: Snapshot,
        compiler: Compiler,
        renderer: Renderer,
        with_certificates: int | None = None,
    ) -> tuple[RouteTable, Configuration]:
        candidates = [Candidate(entry.service, entry.created) for entry in entries.values()]
        certificates = dict(list(snapshot.certificates.items())[:with_certificates])
        for entry in entries.values():
            if entry.service.service_cert and (certificate := certificate_of(entry.service)):
                certificates.setdefault(certificate.name, certificate)
        table = compiler.compile(candidates)
        with_ports = [candidate for candidate in candidates if candidate.service.has_ports]
        listening = compile_listeners(with_ports, renderer.http_ports(certified=bool(certificates)))
        wanted = renderer.render(table, snapshot.endpoints, certificates.values(), listening)
        return replace(table, conflicts=table.conflicts + listening.conflicts), wanted

    async def _offenders(self, snapshot: Snapshot) -> dict[str, tuple[Entry, str]]:
        """The new or changed services that HAProxy refuses, alone or beside those that it accepted."""
        entries = snapshot.entries
        good = {name: entry for name, entry in self._accepted.items() if name in entries}
        changed = [n for n, entry in entries.items() if good.get(n) != entry and not self._is_rejected(entry)]
        alone = await self._search({}, changed, snapshot) if changed else {}
        left = [name for name in changed if name not in alone]
        return alone or (await self._search(good, left, snapshot) if left else {})

    async def _search(
        self, good: dict[str, Entry], names: list[str], snapshot: Snapshot
    ) -> dict[str, tuple[Entry, str]]:
        """Halves the suspects until those are left that fail beside the good ones; the others are added to these."""
        suspects = {name: snapshot.entries[name] for name in names}
        try:
            _, together = self._compile({**good, **suspects}, snapshot, Compiler(), self._renderer.apart())
            await self._proxy.check(together)
        except Rejected as error:
            if len(names) == 1:
                return {names[0]: (suspects[names[0]], str(error))}
            half = len(names) // 2
            first = await self._search(good, names[:half], snapshot)
            return first | await self._search(good, names[half:], snapshot)
        good.update(suspects)
        return {}

    async def _until_woken(self) -> None:
        """Or until it has been quiet for so long that names of stand-ins and forgotten backends can be tidied up."""
        untidy = self._running is not None and self._running.untidy
        if not await self._woken(self._tidy_after if untidy else None):
            self._tidying = True

    async def _woken(self, within: float | None) -> bool:
        try:
            async with asyncio.timeout(within):
                return await self._awake.wait()
        except TimeoutError:
            return False

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
        if not await self._woken(_RETRY_SECONDS):
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
            case Reload():
                _log.info("reloaded", reason=described(plan), **facts)
            case Runtime(changes):
                _log.info("updated without reload", reason=described(plan), changes=len(changes), **facts)
            case Nothing():
                _log.debug("nothing to do", **facts)
