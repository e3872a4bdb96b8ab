"""The application of the API in this process, with stand-ins for what it works with."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from flowproxy.api.access import Access
from flowproxy.api.collaborators import Desired, Peers, Running, Sources
from flowproxy.api.server import application
from flowproxy.control.exchange import ExchangeStatus
from flowproxy.control.outcome import Outcome
from flowproxy.control.registration import Registration
from flowproxy.features import Defaults
from flowproxy.haproxy.statistics import ProxyStatus
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.overlaps import Overlaps
from flowproxy.services.admission import Admission, Rules
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.settings.model import Settings
from flowproxy.sources.swarm.status import SwarmStatus

Client = TestClient[web.Request, web.Application]


class Stage:
    """What stands behind the API. Its attributes may be changed before a call, and asked after it."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.registry = Registry()
        self.reconciler = Mock(outcome=Outcome(), live=AsyncMock(), overlaps=Overlaps((80,)))
        self.proxy = Mock(unwritten=None, reloads=Counter(), runtime_updates=0)
        self.statistics = self.proxy.statistics
        self.statistics.status = AsyncMock(return_value=ProxyStatus("2.6.12", 1, 2, 3))
        self.statistics.old_workers = AsyncMock(return_value=0)
        self.statistics.health = AsyncMock(return_value=[])
        self.statistics.csv = AsyncMock(return_value="# pxname\nweb\n")
        self.statistics.exposition = AsyncMock(return_value="haproxy_up 1\n")
        self.keyring = Mock(folder=Path("/certs"), refused={}, put=AsyncMock(return_value=1))
        self.keyring.kept.return_value = []
        self.keyring.changed_at.return_value = 0.0
        self.replicas = Mock(
            warning=None, created=AsyncMock(return_value=None), require=AsyncMock(return_value="10.0.0.2")
        )
        self.replicas.pass_on = AsyncMock(return_value=[])
        self.replicas.send_certificates = AsyncMock()
        self.exchange = Mock(status=ExchangeStatus(0, True, {}, None), take=AsyncMock(), compare_with=AsyncMock())
        self.names = Mock(require=AsyncMock())
        self.listeners = Mock(heard=True, notify=AsyncMock())
        self.swarm = SwarmStatus()

    def add(self, **parameters: str) -> None:
        """A service that is wanted and served."""
        service = parse(parameters)
        self.registry.put(Entry(service, Origin.API, 1.5, parameters))
        candidates = [entry.candidate for entry in self.registry.snapshot().entries.values()]
        self.reconciler.outcome = Outcome(
            generation=1, applied=1, table=compile_routes(candidates), configuration=Mock(servers={})
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        defaults = dict.fromkeys(Origin, Defaults())
        admission = Admission(self.registry, Rules(defaults, Defaults(), self.settings.takes))
        registration = Registration(self.settings, admission, self.reconciler, self.names, self.exchange)
        app = application(
            Access(self.settings),
            Desired(self.settings, self.registry),
            Running(self.reconciler, self.proxy, self.keyring, Mock(repaired=Counter(), looks=0), {"swarm": 2}),
            Peers(registration, self.replicas, self.exchange),
            Sources(self.listeners, lambda: self.swarm, [registration]),
        )
        async with TestClient(TestServer(app)) as client:
            yield client
