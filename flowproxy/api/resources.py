"""The paths of Flowproxy's own API: services, routes, explanations, status, readiness and metrics."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from flowproxy import __version__
from flowproxy.api.access import Access
from flowproxy.api.collaborators import Desired, Peers, Running, Sources
from flowproxy.api.descriptions import conflict_fields, explanation, overlap_fields, route_fields, service_answer
from flowproxy.api.metrics import exposition
from flowproxy.api.requests import request_for
from flowproxy.api.routes import Route, reply
from flowproxy.api.schemas import (
    Error,
    HaproxyStatus,
    Ready,
    ReplicasStatus,
    RoutesAnswer,
    ServicesAnswer,
    ShortStatus,
    SourceFields,
    Status,
    SwarmFields,
)
from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.commands import ServerHealth
from flowproxy.haproxy.drift import What
from flowproxy.haproxy.proxy import Proxy
from flowproxy.haproxy.statistics import ProxyStatus
from flowproxy.routing.meaning import match
from flowproxy.routing.overlaps import Overlap
from flowproxy.services.registry import Registry

_OVERLAPS = 1000  # listed in the status


class Services:
    """The calls about services and routes, and which route answers a URL."""

    def __init__(self, registry: Registry, reconciler: Reconciler, proxy: Proxy) -> None:
        self._registry = registry
        self._reconciler = reconciler
        self._proxy = proxy

    @property
    def routes(self) -> Iterable[Route]:
        yield Route("GET", "/v1/services", self.list)
        yield Route("GET", "/v1/services/{name}", self.show)
        yield Route("GET", "/v1/routes", self.list_routes)
        yield Route("GET", "/v1/explain", self.explain)

    async def list(self, _: web.Request) -> web.Response:
        snapshot, outcome = self._registry.snapshot(), self._reconciler.outcome
        remarks = snapshot.remarks
        names = sorted(snapshot.entries.keys() | snapshot.invalid.keys())
        overlaps: dict[str, list[Overlap]] = defaultdict(list)
        for overlap in await all_overlaps(self._reconciler):
            overlaps[overlap.taker].append(overlap)
            overlaps[overlap.loser].append(overlap)
        return reply(
            ServicesAnswer(
                [service_answer(n, snapshot.entries.get(n), outcome, remarks.get(n), overlaps[n]) for n in names]
            )
        )

    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        snapshot = self._registry.snapshot()
        if name not in snapshot.entries and name not in snapshot.invalid:
            return reply(Error(error=f"there is no service {name}"), status=404)
        entry, remark = snapshot.entries.get(name), snapshot.remarks.get(name)
        every = await all_overlaps(self._reconciler)
        overlaps = [overlap for overlap in every if name in (overlap.taker, overlap.loser)]
        return reply(service_answer(name, entry, self._reconciler.outcome, remark, overlaps))

    async def list_routes(self, _: web.Request) -> web.Response:
        return reply(RoutesAnswer([route_fields(route) for route in self._reconciler.outcome.table.routes]))

    async def explain(self, request: web.Request) -> web.Response:
        """Return which route answers a URL, and the state of its servers in HAProxy."""
        url = request.query.get("url", "")
        try:
            asked = request_for(url)
        except ValueError as error:
            return reply(Error(error=str(error)), status=400)
        outcome = self._reconciler.outcome
        chosen = match(outcome.table.routes, asked)
        servers = await self._health(chosen.backend) if chosen else []
        remark = self._registry.snapshot().remarks.get(chosen.service) if chosen else None
        return reply(explanation(url, asked, chosen, servers, outcome, remark))

    async def _health(self, backend: str) -> Sequence[ServerHealth] | None:
        """Return None when HAProxy does not answer."""
        try:
            return await self._proxy.statistics.health(backend)
        except ProxyUnavailable:
            return None


class Health:
    """The calls about this replica: its status, its readiness and its metrics for Prometheus."""

    def __init__(self, access: Access, desired: Desired, running: Running, peers: Peers, sources: Sources) -> None:
        self._access = access
        self._desired = desired
        self._running = running
        self._peers = peers
        self._sources = sources

    @property
    def routes(self) -> Iterable[Route]:
        yield Route("GET", "/v1/status", self.status)
        yield Route("GET", "/v1/ready", self.ready)
        yield Route("GET", "/metrics", self.metrics)

    async def status(self, request: web.Request) -> web.Response:
        """Return the status of this replica; without the token only its version and readiness."""
        running, snapshot = self._running, self._desired.registry.snapshot()
        outcome, proxy = running.reconciler.outcome, running.proxy
        haproxy = await proxy.statistics.status()
        ready = self._is_ready(haproxy)
        if not self._access.admits(request):
            return reply(ShortStatus(version=__version__, ready=ready))
        overlaps = await all_overlaps(running.reconciler)
        status = Status(
            version=__version__,
            ready=ready,
            warnings=self._warnings(snapshot.confirmed),
            generation=outcome.applied,
            wanted_generation=snapshot.generation,
            failure=outcome.failure,
            reloads=proxy.reloads.total(),
            reload_reasons=dict(proxy.reloads),
            runtime_updates=proxy.runtime_updates,
            drift={what: running.drift_watch.repaired[what] for what in What},
            old_workers=await proxy.statistics.old_workers(),
            services=len(snapshot.entries),
            quarantined=dict(outcome.quarantined),
            quarantined_certificates=running.keyring.refused,
            conflicts=conflict_fields(outcome.table.conflicts),
            overlaps=overlap_fields(overlaps[:_OVERLAPS]),
            overlaps_total=len(overlaps),
            haproxy=HaproxyStatus(**haproxy._asdict()) if haproxy else None,
            swarm=SwarmFields(**self._sources.swarm()._asdict()),
            sources=[SourceFields(**source.status._asdict()) for source in self._sources.all],
            replicas=ReplicasStatus(**self._peers.exchange.status._asdict()),
        )
        return reply(status)

    async def ready(self, _: web.Request) -> web.Response:
        """Return whether this node should receive requests: 200, or 503 before it serves and when it is about to
        stop."""
        ready = self._is_ready(await self._running.proxy.statistics.status())
        return reply(Ready(ready=ready), status=200 if ready else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        text = await exposition(self._running, self._sources.swarm())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _is_ready(self, haproxy: ProxyStatus | None) -> bool:
        stopping = self._desired.registry.snapshot().stopping
        return haproxy is not None and self._running.reconciler.outcome.configuration is not None and not stopping

    def _warnings(self, confirmed: float | None) -> list[str]:
        """`confirmed` is when a complete listing last confirmed the addresses of tasks, in seconds since 1970."""
        possible = (
            self._running.proxy.unwritten,
            self._access.warning,
            self._peers.replicas.warning,
            self._sources.swarm().warning(confirmed, time.time()),
            self._desired.settings.advice,
        )
        return [warning for warning in possible if warning]


async def all_overlaps(reconciler: Reconciler) -> Sequence[Overlap]:
    """Return all overlaps, warnings first. Runs in a thread, because many services take a moment."""
    return await asyncio.to_thread(reconciler.overlaps.all, reconciler.outcome.table)
