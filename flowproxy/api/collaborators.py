"""The collaborators of the handlers, in groups, so that each handler receives a few that belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas, Reply
from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.control.registration import Registration
from flowproxy.haproxy.proxy import Proxy
from flowproxy.services.registry import Registry
from flowproxy.settings.model import Settings
from flowproxy.sources.listener import Listeners
from flowproxy.sources.source import Reporting
from flowproxy.sources.swarm.status import SwarmStatus


@dataclass(frozen=True)
class Desired:
    """The wanted services, and the settings of the proxy."""

    settings: Settings
    registry: Registry


@dataclass(frozen=True)
class Running:
    """What HAProxy runs, and what keeps it there. `failures` counts the failures of background loops by loop name."""

    reconciler: Reconciler
    proxy: Proxy
    keyring: Keyring
    drift_watch: DriftWatch
    failures: Mapping[str, int]


@dataclass(frozen=True)
class Sources:
    """The sources of services. `all` are the ones that `/v1/status` lists."""

    listeners: Listeners
    swarm: Callable[[], SwarmStatus]
    all: Sequence[Reporting]


@dataclass(frozen=True)
class Peers:
    """The other replicas, as a call sees them."""

    registration: Registration
    replicas: Replicas
    exchange: Exchange

    async def pass_on(self, request: web.Request, query: Mapping[str, str]) -> list[Reply]:
        """Return the replies of all replicas to the same call. Raises ReplicaFailed when one of them fails."""
        created = await self.created(request)
        try:
            return await self.replicas.pass_on(request.method, request.path, query, await request.read(), created)
        finally:
            self.exchange.wake()

    async def created(self, request: web.Request) -> float:
        """Return when a call was first made, by this client or by a replica that passes it on, in seconds since 1970.

        Raises NotSigned, and InvalidService for an impossible time.
        """
        return self.registration.time_of_call(await self.replicas.created(request))
