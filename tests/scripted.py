"""The loop of the controller around a HAProxy that does what a test says: no process, no waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path

from configurations import RENDERER

from flowproxy.certificates.checks import CertificateChecks
from flowproxy.control.overlap_reports import OverlapReports
from flowproxy.control.pipeline import Pipeline
from flowproxy.control.quarantine import Quarantine
from flowproxy.control.reconciler import Reconciler
from flowproxy.control.rounds import Rounds
from flowproxy.control.template_files import ServiceTemplateFiles
from flowproxy.errors import Rejected
from flowproxy.haproxy.plan import Plan, Reload, Running
from flowproxy.rendering.configuration import Configuration
from flowproxy.routing.overlaps import Overlaps
from flowproxy.services.certificate import Certificate
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry, Snapshot
from flowproxy.services.store import Store
from flowproxy.settings.model import Settings


class ScriptedHAProxy:
    """Has the protocol of `Proxy` that the loop uses.

    `refused` are groups of services that it does not accept together, each with the reason. It names the services of
    the group unless `names_services` is off. `failures` are raised by the next applications, one each. While `open` is
    not set, an application waits.
    """

    def __init__(self) -> None:
        self.running: Running | None = None
        self.unwritten: str | None = None
        self.refused: dict[frozenset[str], str] = {}
        self.names_services = True
        self.failures: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.applied: list[tuple[Plan, Configuration]] = []
        self.checked: list[Configuration] = []

    @property
    def plans(self) -> list[Plan]:
        return [plan for plan, _ in self.applied]

    @property
    def serving(self) -> set[str]:
        """The services of the last configuration that was applied."""
        return _services(self.applied[-1][1])

    def refuse(self, *services: str, reason: str = "unknown keyword 'x'") -> None:
        self.refused[frozenset(services)] = reason

    def forget(self) -> None:
        self.running = None

    async def check(self, configuration: Configuration) -> None:
        self.checked.append(configuration)
        self._require_accepted(configuration)

    async def apply(self, plan: Plan, configuration: Configuration) -> None:
        before = self.running
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        if isinstance(plan, Reload):
            self._require_accepted(configuration)
        self.applied.append((plan, configuration))
        if self.running is before:
            self.running = before.after(plan, configuration) if before else Running.fresh(configuration)

    def _require_accepted(self, configuration: Configuration) -> None:
        present = _services(configuration)
        found = {group: reason for group, reason in self.refused.items() if group <= present}
        if found:
            named = frozenset().union(*found) if self.names_services else ()
            raise Rejected("; ".join(found.values()), named)


class Loop:
    """A registry, the loop, and its HAProxy."""

    def __init__(self, folder: Path, *, tidy_after: float = 60) -> None:
        self.registry = Registry()
        self.haproxy = ScriptedHAProxy()
        self.unsaved: dict[str, str] = {}
        pipeline = Pipeline(RENDERER)
        quarantine = Quarantine(pipeline, self.haproxy, CertificateChecks(_accepts))
        store = _Store(folder, self.unsaved)
        rounds = Rounds(store, ServiceTemplateFiles(Settings()), pipeline, self.haproxy, quarantine)
        reports = OverlapReports(Overlaps(Settings().traffic_ports))
        self.reconciler = Reconciler(self.registry, rounds, self.haproxy, reports, tidy_after=tidy_after)
        self.registry.on_change = self.reconciler.wake

    def put(self, name: str, **parameters: str) -> int:
        """Register a service, and return the generation that holds it."""
        given = {"serviceName": name, "servicePath": f"/{name}", "port": "80", **parameters}
        return self.registry.put(Entry(parse(given), Origin.API, self.registry.created_at(1.0), given))

    async def live(self, *names: str) -> None:
        """Register services, and return when they serve. Raises Rejected, ProxyUnavailable."""
        generations = {name: self.put(name) for name in names}
        for name, generation in generations.items():
            await self.reconciler.live(generation, name)

    @contextlib.asynccontextmanager
    async def runs(self) -> AsyncIterator[Loop]:
        """Run the loop meanwhile, for at most ten seconds."""
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.reconciler.run())
            yield self
            task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds, which the caller's time limit ends."""
    while not condition():  # noqa: ASYNC110 - any state may be waited for, also such as sets no event
        await asyncio.sleep(0.001)


class _Store(Store):
    """A store that does not save some services."""

    def __init__(self, folder: Path, unsaved: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._scripted = unsaved

    def save(self, snapshot: Snapshot) -> Mapping[str, str]:
        return dict(self._scripted)


async def _accepts(_: Iterable[Certificate]) -> None:
    """Every certificate is valid."""


def _services(configuration: Configuration) -> set[str]:
    return {section.service for section in configuration.sections.values()}
