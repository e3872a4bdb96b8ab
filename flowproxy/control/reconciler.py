"""The one loop: whenever something is wanted, compile, render, plan and apply what is wanted now.

It never acts on what an event said, only on the registry's snapshot; wake-ups that arrive while it works are
one more round.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import NamedTuple, NoReturn

import structlog

from flowproxy.certificates.checks import CertificateChecks
from flowproxy.errors import ForeignHost, ProxyUnavailable, Rejected
from flowproxy.haproxy.plan import Cause, Nothing, Plan, Reload, Running, Runtime, described, make_plan
from flowproxy.haproxy.proxy import Proxy
from flowproxy.rendering.configuration import SPARE, Configuration, Renderer
from flowproxy.routing.overlaps import WARNING, Overlaps, Reported
from flowproxy.routing.ownership import HostOwners, settled
from flowproxy.routing.ports import HttpNames, compile_listeners
from flowproxy.routing.service_certificates import with_those_of_services
from flowproxy.routing.table import Compiler, RouteTable, compile_routes
from flowproxy.services.parse import blamed, certificate_of
from flowproxy.services.registry import Entry, Origin, Registry, Snapshot
from flowproxy.services.store import Store

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0
_LOGGED = 20  # overlaps of one round
_SPARE = re.compile(rf"{SPARE}\d+")
_EMPTY = compile_routes(())


class Outcome(NamedTuple):
    """How the last round ended. `failure` says why HAProxy is not where it should be. `foreign` are those of the
    quarantined that ask for a host of another stack.
    """

    generation: int = 0
    applied: int = 0
    quarantined: Mapping[str, str] = {}
    foreign: Mapping[str, str] = {}
    table: RouteTable = _EMPTY
    configuration: Configuration | None = None
    failure: str | None = None

    def refusal(self, name: str) -> Rejected:
        """Why a quarantined service does not serve as it asks."""
        return (ForeignHost if name in self.foreign else Rejected)(self.quarantined[name])


class _Waiter(NamedTuple):
    generation: int
    name: str
    done: asyncio.Future[None]


class Reconciler:
    """Holds what HAProxy runs, and the last good version of each service."""

    def __init__(
        self,
        registry: Registry,
        renderer: Renderer,
        proxy: Proxy,
        store: Store,
        checks: CertificateChecks,
        *,
        tidy_after: float,
        overlaps: Overlaps,
        owners: HostOwners | None = None,
    ) -> None:
        """`owners` where hosts belong to stacks."""
        self._registry = registry
        self._renderer = renderer
        self._proxy = proxy
        self._store = store
        self._checks = checks
        self._tidy_after = tidy_after
        self._tidying = False
        self._owners = owners
        self.overlaps = overlaps
        self._reported = Reported()
        self._awake = asyncio.Event()
        self._compiler = Compiler()
        self._running: Running | None = None
        self._accepted: Mapping[str, Entry] = {}
        self._rejected: dict[str, tuple[Entry, str]] = {}
        self._waiters: list[_Waiter] = []
        self.turn = asyncio.Lock()  # held while HAProxy is on its way from one configuration to the next
        self.outcome = Outcome()

    def wake(self) -> None:
        self._awake.set()

    @property
    def running(self) -> Running | None:
        """What HAProxy's worker was brought to; None when that is not known."""
        return self._running

    def forget_running(self) -> None:
        """Whatever HAProxy runs, the next round reloads."""
        self._running = None
        self.wake()

    def name_in_haproxy(self, backend: str) -> str:
        """A stand-in's, where one stands in for the backend."""
        return self._running.stand_ins.get(backend, backend) if self._running else backend

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
            async with self.turn:
                self.outcome = await self._guarded_round(self._registry.snapshot())
            self._tell_waiters()
            if not self._awake.is_set():
                await self._report_overlaps()
            if self.outcome.failure or self._proxy.unwritten:
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
            raise self.outcome.refusal(name)

    async def _guarded_round(self, snapshot: Snapshot) -> Outcome:
        """A mistake of ours ends a round, not the controller: who asked for the change is told, and it is undone."""
        try:
            return await self._round(snapshot)
        except Exception as error:  # noqa: BLE001 - the last resort
            self._running = None
            _log.error("round failed", exc_info=error)
            reason = f"something went wrong here, see the log: {type(error).__name__}"
            return self.outcome._replace(generation=snapshot.generation, failure=reason)

    async def _round(self, snapshot: Snapshot) -> Outcome:
        started = time.perf_counter()
        outcome = self.outcome._replace(generation=snapshot.generation)
        unsaved = await self._save(snapshot)
        foreign: Mapping[str, str] = {}
        try:
            self._quarantine(await self._with_refused_certificates(snapshot))
            good = {n: e for n, e in snapshot.entries.items() if not (n in unsaved or self._is_rejected(e))}
            entries = good | {
                n: self._accepted[n] for n in snapshot.entries.keys() - good.keys() if n in self._accepted
            }
            entries, foreign = self._with_own_hosts(entries)
            table, wanted, plan = await self._converge(entries, snapshot)
        except Rejected as error:
            offenders = await self._offenders(snapshot, {*unsaved, *foreign}, error)
            if not offenders:
                return await self._failed(outcome, snapshot, error)
            self._quarantine(offenders)
            return await self._round(snapshot)
        except OSError as error:
            return await self._failed(outcome, snapshot, error)
        except ProxyUnavailable as error:
            self._running = None
            return await self._failed(outcome, snapshot, error)
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
                **unsaved,
                **foreign,
            },
            foreign=foreign,
            table=table,
            configuration=wanted,
        )

    async def _with_refused_certificates(self, snapshot: Snapshot) -> dict[str, tuple[Entry, str]]:
        """The services whose certificate HAProxy does not take."""
        bringing = [entry for entry in snapshot.entries.values() if entry.service.service_cert]
        given = [(entry, certificate) for entry in bringing if (certificate := certificate_of(entry.service))]
        refusals = await self._checks.refusals(certificate for _, certificate in given) if given else {}
        return {
            entry.service.service_name: (entry, f"serviceCert: {refusals[certificate.pem]}")
            for entry, certificate in given
            if certificate.pem in refusals and not self._is_rejected(entry)
        }

    def _quarantine(self, offenders: Mapping[str, tuple[Entry, str]]) -> None:
        self._rejected |= offenders
        for name, (_, reason) in offenders.items():
            _log.warning("service quarantined", service=name, reason=reason)

    def _with_own_hosts(self, entries: dict[str, Entry]) -> tuple[dict[str, Entry], Mapping[str, str]]:
        """Those that ask for no host of another stack, and why the others do not serve as they ask."""
        if self._owners is None:
            return entries, {}
        good = {name: entry for name, entry in self._accepted.items() if name in entries}
        wanted, last = ({n: e.candidate for n, e in known.items()} for known in (entries, good))
        serving, refused = settled(self._owners, wanted, last)
        for name in refused.keys() - self.outcome.foreign.keys():
            _log.warning("service refused", service=name, reason=refused[name])
        return {n: entries[n] if c is wanted[n] else good[n] for n, c in serving.items()}, refused

    async def _report_overlaps(self) -> None:
        """Logs each overlap once when it appears. Nobody waits for that: while more is to do, it is put off."""
        try:
            appeared = await asyncio.to_thread(self._reported.new, self.overlaps, self.outcome.table)
        except Exception as error:  # noqa: BLE001 - a mistake of ours there must not end the loop
            _log.error("overlaps cannot be found", exc_info=error)
            return
        for overlap in appeared[:_LOGGED]:
            log = _log.warning if overlap.level == WARNING else _log.info
            log("routes overlap", **overlap._asdict())
        if len(appeared) > _LOGGED:
            _log.warning("more routes overlap; /v1/status lists them", overlaps=len(appeared) - _LOGGED)

    async def _save(self, snapshot: Snapshot) -> Mapping[str, str]:
        """What cannot be kept over a restart is not served: its caller is told. The Swarm keeps its services itself."""
        unsaved = await asyncio.to_thread(self._store.save, snapshot)
        entries = snapshot.entries
        return {n: why for n, why in unsaved.items() if n not in entries or entries[n].origin == Origin.API}

    async def _failed(self, outcome: Outcome, snapshot: Snapshot, error: Exception) -> Outcome:
        """HAProxy stays where it was. Servers follow their tasks all the same, as far as that needs no reload."""
        reason = str(error)
        if reason != self.outcome.failure:
            _log.error("round failed", reason=reason)
        if self._running is not None:
            known = {name: entry for name, entry in self._accepted.items() if name in snapshot.entries}
            _, wanted = self._compile(known, snapshot, Compiler(), self._renderer.apart())
            plan = make_plan(self._running, wanted)
            if not isinstance(plan, Reload):
                try:
                    await self._proxy.apply(plan, wanted)
                    self._running = self._running.after(plan, wanted)
                except ProxyUnavailable as another:
                    self._running = None
                    _log.error("servers cannot follow their tasks", reason=str(another))
        return outcome._replace(failure=reason)

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
        candidates = [entry.candidate for entry in entries.values()]
        given = dict(list(snapshot.certificates.items())[:with_certificates])
        try:
            table = compiler.compile(candidates)
            certificates, clashes = with_those_of_services(given, candidates, table)
            with_ports = [candidate for candidate in candidates if candidate.service.has_ports]
            of_folder = (domain for certificate in snapshot.certificates.values() for domain in certificate.domains)
            http = HttpNames(table, frozenset(of_folder))
            listening = compile_listeners(with_ports, renderer.http_ports(certified=bool(certificates)), http)
            wanted = renderer.render(
                table, snapshot.endpoints, certificates.values(), listening, stopping=snapshot.stopping
            )
        except Rejected:
            raise
        except Exception as error:
            _log.error("configuration cannot be rendered", exc_info=error)
            raise Rejected(f"it cannot be rendered: {type(error).__name__}: {error}") from error
        conflicts = table.conflicts + listening.conflicts + clashes
        return replace(table, conflicts=conflicts, warnings=listening.warnings), wanted

    async def _offenders(
        self, snapshot: Snapshot, unsaved: Container[str], error: Rejected
    ) -> dict[str, tuple[Entry, str]]:
        """The new or changed services that HAProxy refuses, alone or beside those that it accepted."""
        entries = snapshot.entries
        good = {name: entry for name, entry in self._accepted.items() if name in entries}
        changed = [
            name
            for name, entry in entries.items()
            if good.get(name) != entry and name not in unsaved and not self._is_rejected(entry)
        ]
        alone = await self._guilty({}, changed, snapshot, error)
        left = [name for name in changed if name not in alone]
        return alone or await self._guilty(good, left, snapshot, error)

    async def _guilty(
        self, good: dict[str, Entry], suspects: list[str], snapshot: Snapshot, error: Rejected
    ) -> dict[str, tuple[Entry, str]]:
        """First those that HAProxy names, each asked alone because it may name the wrong one of two that do not go
        together; when it names none that is to blame, the suspects are halved."""
        found: dict[str, tuple[Entry, str]] = {}
        while suspects:
            guilty: dict[str, tuple[Entry, str]] = {}
            for name in error.services.intersection(suspects):
                guilty |= await self._search(dict(good), [name], snapshot)
            if not guilty:
                return found | await self._search(good, suspects, snapshot)
            found |= guilty
            suspects = [name for name in suspects if name not in guilty]
            try:
                await self._try(good | {name: snapshot.entries[name] for name in suspects}, snapshot)
            except Rejected as another:
                error = another
                continue
            break
        return found

    async def _search(
        self, good: dict[str, Entry], names: list[str], snapshot: Snapshot
    ) -> dict[str, tuple[Entry, str]]:
        """Halves the suspects until those are left that fail beside the good ones; the others are added to these."""
        suspects = {name: snapshot.entries[name] for name in names}
        try:
            await self._try({**good, **suspects}, snapshot)
        except Rejected as error:
            if len(names) == 1:
                entry = suspects[names[0]]
                blame = blamed(entry.parameters, str(error), error.lines)
                return {names[0]: (entry, f"{blame}: {error}" if blame else str(error))}
            half = len(names) // 2
            first = await self._search(good, names[:half], snapshot)
            return first | await self._search(good, names[half:], snapshot)
        good.update(suspects)
        return {}

    async def _try(self, entries: Mapping[str, Entry], snapshot: Snapshot) -> None:
        """Has HAProxy look at these services together. Raises Rejected."""
        _, together = self._compile(entries, snapshot, Compiler(), self._renderer.apart())
        await self._proxy.check(together)

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
                waiter.done.set_exception(outcome.refusal(waiter.name))
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
