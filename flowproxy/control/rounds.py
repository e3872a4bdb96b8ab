"""One round: applies a snapshot of the registry to HAProxy and returns the outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

import structlog

from flowproxy.control.outcome import Outcome
from flowproxy.control.pipeline import Memory, Pipeline, Planned, Wanted
from flowproxy.control.quarantine import Checker, Quarantine
from flowproxy.control.template_files import ServiceTemplateFiles
from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.haproxy.plan import Cause, Nothing, Plan, Reload, Running, Runtime, described
from flowproxy.rendering.configuration import Configuration
from flowproxy.routing.table import RouteTable
from flowproxy.services.registry import Entry, Origin, Snapshot
from flowproxy.services.store import Store

_log = structlog.get_logger(__name__)


class HAProxy(Checker, Protocol):
    """The HAProxy that rounds apply configurations to."""

    @property
    def running(self) -> Running | None:
        """Return the state of its worker; None if unknown."""

    @property
    def unwritten(self) -> str | None:
        """Return the reason why the running configuration could not be written to disk, if any."""

    def forget(self) -> None:
        """Make the next plan a reload, whatever it runs."""

    async def apply(self, plan: Plan, configuration: Configuration) -> None:
        """Apply the plan. Raises Rejected, ProxyUnavailable or OSError."""


class Rounds:
    """Runs rounds sequentially."""

    def __init__(
        self,
        store: Store,
        templates: ServiceTemplateFiles,
        pipeline: Pipeline,
        haproxy: HAProxy,
        quarantine: Quarantine,
    ) -> None:
        self._store = store
        self._templates = templates
        self._pipeline = pipeline
        self._haproxy = haproxy
        self._quarantine = quarantine
        self._memory = Memory()

    async def run(self, snapshot: Snapshot, last: Outcome, *, tidy: bool) -> Outcome:
        """Apply a snapshot to HAProxy.

        A bug in Flowproxy ends the round, not the controller: the caller that requested the change gets an error, and
        the change is undone.

        Args:
            last: the outcome of the previous round.
            tidy: whether to reload HAProxy even if that is not necessary.
        """
        try:
            return await self._round(snapshot, last, tidy=tidy)
        except Exception as error:  # noqa: BLE001 - the last resort
            self._haproxy.forget()
            _log.error("round failed", exc_info=error)
            reason = f"internal error, see the log: {type(error).__name__}"
            return last._replace(generation=snapshot.generation, failure=reason)

    async def _round(self, snapshot: Snapshot, last: Outcome, *, tidy: bool) -> Outcome:
        started = time.perf_counter()
        unsaved = await self._save(snapshot)
        wanted = await self._wanted(snapshot)
        foreign: Mapping[str, str] = {}
        try:
            await self._quarantine.refuse_certificates(wanted.entries)
            entries, foreign = self._quarantine.serving(wanted.entries, unsaved)
            planned = await self._converge(wanted.only(entries), last, tidy=tidy)
        except Rejected as error:
            if error.__cause__ is not None:
                _log.error("rendering failed", exc_info=error.__cause__)
            if not await self._quarantine.refuse_offenders(wanted, {*unsaved, *foreign}, error):
                return await self._failed(wanted, snapshot, last, error)
            return await self._round(snapshot, last, tidy=tidy)
        except OSError as error:
            return await self._failed(wanted, snapshot, last, error)
        except ProxyUnavailable as error:
            self._haproxy.forget()
            return await self._failed(wanted, snapshot, last, error)
        self._quarantine.accept(entries, wanted.entries)
        _log_round(planned, snapshot, last.table, time.perf_counter() - started)
        return Outcome(
            generation=snapshot.generation,
            applied=snapshot.generation,
            quarantined={**snapshot.invalid, **self._quarantine.reasons, **unsaved, **foreign},
            foreign=foreign,
            blamed=self._quarantine.blamed,
            table=planned.table,
            configuration=planned.configuration,
        )

    async def _wanted(self, snapshot: Snapshot) -> Wanted:
        """Return the desired state of a snapshot, with the template files that it needs."""
        entries = [*snapshot.entries.values(), *self._quarantine.last_good(snapshot.entries).values()]
        bringing = [entry.service for entry in entries if entry.service.brings_templates]
        return Wanted.of(snapshot, await self._templates.read(bringing))

    async def _save(self, snapshot: Snapshot) -> Mapping[str, str]:
        """Save the services, or fail: one that would be lost at a restart is not served, and its caller gets an error.
        Services of the Swarm are not affected, because the Swarm stores them itself."""
        unsaved = await asyncio.to_thread(self._store.save, snapshot)
        entries = snapshot.entries
        return {n: why for n, why in unsaved.items() if n not in entries or entries[n].origin == Origin.API}

    async def _converge(self, wanted: Wanted, last: Outcome, *, tidy: bool) -> Planned:
        planned = self._pipeline.plan(wanted, self._haproxy.running, self._memory)
        if tidy and not isinstance(planned.plan, Reload):
            planned = planned._replace(plan=Reload(Cause.TIDY))
        if isinstance(planned.plan, Reload):
            await self._check_changed(wanted, last)
        return planned._replace(plan=await self._applied(planned))

    async def _applied(self, planned: Planned) -> Plan:
        """Apply the plan, or reload if runtime commands fail; return the plan that was applied."""
        plan = planned.plan
        try:
            await self._haproxy.apply(plan, planned.configuration)
        except ProxyUnavailable as error:
            if not isinstance(plan, Runtime):
                raise
            plan = Reload(Cause.RUNTIME, str(error))
            await self._haproxy.apply(plan, planned.configuration)
        return plan

    async def _check_changed(self, wanted: Wanted, last: Outcome) -> None:
        """Check only the new sections with HAProxy: it has accepted the others before.

        Raises Rejected.
        """
        accepted = self._quarantine.accepted
        changed: Mapping[str, Entry] = {n: e for n, e in wanted.entries.items() if accepted.get(n) != e}
        clashing = any(entry.service.brings_templates for entry in changed.values())
        in_doubt = self._haproxy.running is None or last.failure is not None
        if clashing or in_doubt:
            changed = wanted.entries
        if changed or in_doubt:
            alone = self._pipeline.plan(wanted.only(changed)._replace(one_certificate=True))
            await self._haproxy.check(alone.configuration)

    async def _failed(self, wanted: Wanted, snapshot: Snapshot, last: Outcome, error: Exception) -> Outcome:
        """Keep HAProxy's configuration. Servers still follow their tasks as far as that needs no reload."""
        reason = str(error)
        if reason != last.failure:
            _log.error("round failed", reason=reason)
        if self._haproxy.running is not None:
            known = self._quarantine.last_good(snapshot.entries)
            planned = self._pipeline.plan(wanted.only(known), self._haproxy.running, self._memory)
            if not isinstance(planned.plan, Reload):
                try:
                    await self._haproxy.apply(planned.plan, planned.configuration)
                except ProxyUnavailable as another:
                    self._haproxy.forget()
                    _log.error("server update failed", reason=str(another))
        return last._replace(generation=snapshot.generation, failure=reason)


def _log_round(planned: Planned, snapshot: Snapshot, before: RouteTable, seconds: float) -> None:
    facts = {
        "generation": snapshot.generation,
        "services": len(snapshot.entries),
        "ms": round(seconds * 1000),
    }
    for conflict in set(planned.table.conflicts) - set(before.conflicts):
        _log.warning("conflict", route=conflict.route, winner=conflict.winner, loser=conflict.loser)
    match planned.plan:
        case Reload():
            _log.info("reloaded", reason=described(planned.plan), **facts)
        case Runtime(changes):
            _log.info("updated without reload", reason=described(planned.plan), changes=len(changes), **facts)
        case Nothing():
            _log.debug("nothing to do", **facts)
