"""What the handlers work with, in groups, so that each handler is given a few things that belong together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas, Reply
from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.haproxy.proxy import Proxy
from flowproxy.services.admission import Deprecations
from flowproxy.services.registry import Registry
from flowproxy.settings import Settings
from flowproxy.sources.host_names import Names
from flowproxy.sources.listener import Informants
from flowproxy.sources.swarm import SwarmStatus


@dataclass(frozen=True)
class Desired:
    """What is wanted, and what a call passes through on its way there."""

    settings: Settings
    registry: Registry
    names: Names
    deprecations: Deprecations


@dataclass(frozen=True)
class Running:
    """What HAProxy runs, and what keeps it there. `failures` counts mistakes of background loops by their names."""

    reconciler: Reconciler
    proxy: Proxy
    keyring: Keyring
    drift_watch: DriftWatch
    failures: Mapping[str, int]


@dataclass(frozen=True)
class Sources:
    """Where services come from, besides calls of the API."""

    listeners: Informants
    swarm: Callable[[], SwarmStatus]


@dataclass(frozen=True)
class Peers:
    """The other replicas, as a call sees them."""

    registry: Registry
    replicas: Replicas
    exchange: Exchange

    async def pass_on(self, request: web.Request, query: Mapping[str, str]) -> list[Reply]:
        """Return the replies of all replicas to the same call. Raises ReplicaFailed when one did not do it."""
        created = await self.created(request)
        try:
            return await self.replicas.pass_on(request.method, request.path, query, await request.read(), created)
        finally:
            self.exchange.wake()

    async def created(self, request: web.Request) -> float:
        """Return when a service was asked for, in seconds since 1970.

        A replica that passes a call on says when it was first made, so that all of them agree on which of two services
        is older. Raises NotSigned, and InvalidService for a time that there cannot be.
        """
        now = self.registry.created_at(time.time())
        passed_on = await self.replicas.created(request)
        return now if passed_on is None else min(passed_on, now)
