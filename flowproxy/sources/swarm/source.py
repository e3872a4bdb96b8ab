"""The source itself: one connection after another, each a listing of everything and then what events and time ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog

from flowproxy.errors import SwarmUnavailable
from flowproxy.services.admission import Admission
from flowproxy.settings.model import Settings
from flowproxy.sources.source import SourceStatus, State, StatusRecord
from flowproxy.sources.swarm.catalog import Catalog
from flowproxy.sources.swarm.client import SwarmClient
from flowproxy.sources.swarm.events import Events
from flowproxy.sources.swarm.listing import SwarmService
from flowproxy.sources.swarm.managers import watch_managers
from flowproxy.sources.swarm.nodes import Nodes
from flowproxy.sources.swarm.own_service import addresses_of_own_service
from flowproxy.sources.swarm.pacing import SETTLING, Pacing
from flowproxy.sources.swarm.placement import Placement
from flowproxy.sources.swarm.status import SwarmStatus

_log = structlog.get_logger(__name__)

_BACKOFF = (0.2, 0.5, 1.0, 2.0, 3.0)


class Swarm:
    """Watches one daemon, a Swarm manager, and keeps the registry's Swarm services and their tasks."""

    def __init__(self, admission: Admission, settings: Settings, environment: Mapping[str, str]) -> None:
        """`environment` holds the variables of the docker SDK."""
        self.is_watched = is_expected(settings, environment)
        self.looked = asyncio.Event()  # it has been listed once
        self._registry = admission.registry
        self._interval_s = settings.resync_interval
        self._client = SwarmClient(environment)
        self._events = Events()
        self._pacing = Pacing()
        self._catalog = Catalog(admission, settings.label_prefix)
        self._placement = Placement(admission.registry, self._catalog, self._pacing)
        self._nodes = Nodes(self._client)
        self._connection = SwarmStatus()
        self._record = StatusRecord("swarm", State.WAITING if self.is_watched else State.OFF)

    @property
    def status(self) -> SourceStatus:
        """Return whether the Swarm is reached."""
        return self._record.status

    @property
    def connection(self) -> SwarmStatus:
        """Return what `swarm` in `/v1/status` says."""
        return self._connection._replace(last_event=self._events.last)

    async def run(self) -> None:
        """Watch, without an end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_watching())
            group.create_task(watch_managers(self._client, self._events))

    async def _keep_watching(self) -> NoReturn:
        """Watch one connection after another. Whatever goes wrong is tried again, first soon and then less often."""
        failures = 0
        while True:
            try:
                await self._watch()
                failures = 0
            except SwarmUnavailable as error:
                self._record.failed(str(error))
                if self._connection.error is None:
                    _log.warning("swarm unreachable", reason=str(error))
                self._connection = self._connection._replace(connected=False, error=str(error))
                failures += 1
            await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])

    def close(self) -> None:
        """Leave the daemon."""
        self._client.close()

    async def replicas(self) -> frozenset[str] | None:
        """Return the addresses of our own service's tasks, which is the one that has an address of ours; None where
        Docker does not answer or we are no service."""
        return await addresses_of_own_service(self._client) if self._client.is_connected else None

    async def _watch(self) -> None:
        """Return when the stream of events has ended."""
        await self._client.connect()
        self._events.clear()
        self._pacing.doubt.clear()
        async with self._client.events(self._events):
            await self._list_everything()
            await self._follow()

    async def _follow(self) -> None:
        pacing, events = self._pacing, self._events
        pacing.begin(time.monotonic())
        while not events.has_ended:
            await events.wait(pacing.pause(time.monotonic()))
            if events.is_pending:
                await asyncio.sleep(pacing.rest(time.monotonic()))
            now = time.monotonic()
            if not pacing.is_due(now, self._interval_s):
                await self._list_changes()
                continue
            before = self._catalog.services
            await self._list_everything()
            if self._has_missed_events(before, now):
                _log.warning("event stream reopened")
                return
            pacing.listed_everything(time.monotonic())

    def _has_missed_events(self, before: Mapping[str, SwarmService], at: float) -> bool:
        """Return whether a listing shows what an event should have told long ago: the stream is there but silent."""
        is_silent = not self._events.is_pending and self._events.silent_for(at) > SETTLING
        return is_silent and self._catalog.differs_from(before)

    async def _list_everything(self) -> None:
        await self._list_nodes()
        services, tasks = await self._client.services_and_tasks(None)
        self._placement.network_names = await self._client.networks()
        if not services and not self._is_really_empty():
            return
        routed = self._catalog.replace(services)
        self._placement.place(tasks, self._catalog.services.keys())
        self._placement.forget_others()
        if not self._connection.connected:
            _log.info("swarm watch started", services=len(services), routed=routed)
        listed = time.time()
        self._registry.confirm(listed)
        self._connection = SwarmStatus(connected=True, last_listing=listed, last_answer=listed)
        self._record.succeeded()
        self.looked.set()

    async def _list_changes(self) -> None:
        """List the services that moved, and the tasks of those that change, or of all when that is due."""
        pacing = self._pacing
        began = time.monotonic()
        moved, node_moved = self._events.take()
        if node_moved:
            await self._list_nodes()
            moved |= self._catalog.services.keys()
        if moved:
            await self._list_moved(moved)
            pacing.listed_moved(len(moved), began, time.monotonic())
        began = time.monotonic()
        if pacing.are_tasks_due(began):
            await self._list_tasks(self._catalog.services.keys())
            pacing.listed_all_tasks(began, time.monotonic())
        else:
            await self._list_tasks(pacing.quick(began) - moved)
            pacing.listed_few_tasks(began, time.monotonic())

    async def _list_moved(self, moved: set[str]) -> None:
        services, tasks = await self._client.services_and_tasks(moved)
        found = {service.id: service for service in services if service.id in moved}
        self._pacing.changed(found, time.monotonic())
        renamed = self._catalog.update(moved, found)
        self._place(tasks, found.keys())
        self._placement.place_again(renamed)

    async def _list_tasks(self, identities: Collection[str]) -> None:
        asked = self._catalog.routed_to(identities).keys()
        if asked:
            self._place(await self._client.tasks(asked), asked)

    def _place(self, tasks: Sequence[Mapping[str, Any]], identities: Collection[str]) -> None:
        self._placement.place(tasks, identities)
        self._connection = self._connection._replace(last_answer=time.time())
        self._record.succeeded()

    async def _list_nodes(self) -> None:
        self._placement.unreachable = await self._nodes.unreachable()

    def _is_really_empty(self) -> bool:
        if not self._catalog.has_routes:
            return True
        is_new = not self._pacing.doubt.is_raised
        believed = self._pacing.doubt.believes(time.monotonic())
        if is_new:
            _log.warning("empty swarm listing ignored", seconds=self._pacing.doubt.seconds)
        return believed


def is_expected(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Return whether there is a Swarm to watch: the setting, or signs of Docker."""
    if settings.swarm != "auto":
        return settings.swarm == "on"
    return bool(environment.get("DOCKER_HOST")) or Path("/var/run/docker.sock").exists()
