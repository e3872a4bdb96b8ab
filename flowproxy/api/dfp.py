"""The paths of Docker Flow Proxy and of its listener, and those that replicas use among each other.

Every path of Docker Flow Proxy exists twice: under its own prefix, and under /v1/.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from aiohttp import web

from flowproxy.api.collaborators import Peers, Running, Sources
from flowproxy.api.descriptions import accepted, done, service_fields
from flowproxy.api.requests import is_distributed, json_object, parameters_of
from flowproxy.api.routes import ANY, Handler, Route, reply
from flowproxy.api.schemas import (
    Acknowledgement,
    CallAnswer,
    CallResult,
    CertificateFields,
    CertificatesAnswer,
    ConfiguredServices,
    ListedServices,
    RecordsTaken,
    ReplicaState,
)
from flowproxy.certificates.keyring import Keyring
from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import InvalidCertificate, InvalidService, Problem, ProxyUnavailable
from flowproxy.services.registry import Origin, Registry
from flowproxy.sources.listener import Listeners
from flowproxy.text.booleans import is_true
from flowproxy.text.secrets import shown, without_secrets

PREFIXES = ("/v1/docker-flow-proxy/", "/v1/")
LISTENER = "/v1/docker-flow-swarm-listener/"

_DISTRIBUTED = "Distributed to all instances"


def both(path: str, handler: Handler, method: str = ANY) -> Iterable[Route]:
    """Yield the routes of a path of Docker Flow Proxy."""
    for prefix in PREFIXES:
        yield Route(method, prefix + path, handler)


def with_slash(path: str, handler: Handler) -> Iterable[Route]:
    """Yield the routes of a path, and a redirect from the same path with a trailing slash."""
    yield from both(path, handler)
    yield from both(f"{path}/", _without_slash)


async def _without_slash(request: web.Request) -> web.Response:
    raise web.HTTPMovedPermanently(request.rel_url.with_path(request.path.rstrip("/")).with_query(request.query))


class ServiceCalls:
    """The calls that add, replace and remove services, and those that change nothing."""

    def __init__(self, reconciler: Reconciler, peers: Peers, listeners: Listeners) -> None:
        self._reconciler = reconciler
        self._peers = peers
        self._registration = peers.registration
        self._listeners = listeners

    @property
    def routes(self) -> Iterable[Route]:
        yield from with_slash("reconfigure", self.reconfigure)
        yield from with_slash("remove", self.remove)
        yield from with_slash("reload", self.reload)
        yield from with_slash("ping", self.ping)
        yield Route(ANY, "/v1/test", self.ping)
        yield Route(ANY, "/v2/test", self.ping)

    async def reconfigure(self, request: web.Request) -> web.Response:
        parameters = await parameters_of(request)
        service = self._registration.examine(parameters)
        if service.distribute:
            await self._peers.pass_on(request, parameters)
            return reply(done(_DISTRIBUTED, service))
        await self._registration.register(service, parameters, await self._peers.replicas.created(request))
        table = self._reconciler.outcome.table
        overlaps = await asyncio.to_thread(self._reconciler.overlaps.of, table, service.service_name)
        return reply(accepted(service, table, overlaps))

    async def remove(self, request: web.Request) -> web.Response:
        parameters = await parameters_of(request)
        name = parameters.get("serviceName", "")
        if not name:
            raise InvalidService("", (Problem("serviceName", "", "is missing; give the name of the service"),))
        if is_distributed(parameters):
            await self._peers.pass_on(request, parameters)
            return reply(CallAnswer(status="OK", message=_DISTRIBUTED, service_name=name, distribute=True))
        await self._registration.remove(name, await self._peers.replicas.created(request))
        return reply(CallAnswer(status="OK", service_name=name))

    async def reload(self, request: web.Request) -> web.Response:
        """Render and reload, or ask the listeners to send their services again."""
        if is_true(request.query.get("fromListener", "")):
            await self._listeners.notify()
            return reply(done())
        self._reconciler.forget_running()
        await self._reconciler.live(self._registration.touch(), "")
        return reply(done())

    async def ping(self, _: web.Request) -> web.Response:
        return reply(done())


class CertificateCalls:
    """The calls that store and list certificates."""

    def __init__(self, keyring: Keyring, reconciler: Reconciler, peers: Peers) -> None:
        self._keyring = keyring
        self._reconciler = reconciler
        self._peers = peers

    @property
    def routes(self) -> Iterable[Route]:
        yield from both("cert", self.put, "PUT")
        yield from both("certs", self.list)

    async def put(self, request: web.Request) -> web.Response:
        """Store a certificate; answer once HAProxy presents it."""
        name, content = request.query.get("certName", ""), await request.text()
        if not name or not content:
            missing = "the query certName" if not name else "the body, a PEM file,"
            raise InvalidCertificate(f"{missing} is missing")
        if is_distributed(request.query):
            await self._peers.pass_on(request, request.query)
            return reply(CertificatesAnswer(status="OK", message=_DISTRIBUTED))
        changed = None
        if is_true(request.query.get("shared", "true")):
            created = await self._peers.created(request)
            changed = max(created, math.nextafter(self._keyring.changed_at(name), math.inf))
        generation = await self._keyring.put(name, content, changed)
        if is_true(request.query.get("wait", "true")):
            await self._reconciler.live(generation, "")
        self._peers.exchange.wake()
        return reply(CertificatesAnswer(status="OK"))

    async def list(self, _: web.Request) -> web.Response:
        """List the certificates, without their keys."""
        certificates = [
            CertificateFields(
                proxy_service_name=kept.name, certs_dir=str(self._keyring.folder), cert_content=kept.chain
            )
            for kept in self._keyring.kept()
        ]
        return reply(CertificatesAnswer(status="OK", certs=certificates))


class ReplicaCalls:
    """The calls that only another replica may make. The result is sent to that replica and never appears in the
    answer, so a forged call reveals nothing to its caller."""

    def __init__(self, keyring: Keyring, peers: Peers) -> None:
        self._keyring = keyring
        self._replicas = peers.replicas
        self._exchange = peers.exchange

    @property
    def routes(self) -> Iterable[Route]:
        yield from both("certs/send", self.send_certificates, "POST")
        yield from both("replica/state", self.compare, "POST")
        yield from both("replica/records", self.take, "POST")

    async def send_certificates(self, request: web.Request) -> web.Response:
        """Send the caller the certificates that it does not have, with their keys."""
        caller = await self._replicas.require(request)
        known = request.query.get("without", "").split(",")
        wanted = [kept for kept in self._keyring.kept() if kept.name not in known]
        await self._replicas.send_certificates(caller, wanted)
        return reply(CallResult(status="OK", message=f"{len(wanted)} certificates sent"))

    async def compare(self, request: web.Request) -> web.Response:
        """Answer with the state of this replica; send the caller the records that are newer here."""
        caller = await self._replicas.require(request)
        state = await self._exchange.compare_with(caller, json_object(await request.text()))
        return reply(ReplicaState(digest=state.digest, refused=dict(state.refused)))

    async def take(self, request: web.Request) -> web.Response:
        """Take over the records that are newer at the caller."""
        await self._replicas.require(request)
        await self._exchange.take(await request.text())
        return reply(RecordsTaken())


class ReportCalls:
    """The calls that only report, and those of Docker Flow Swarm Listener."""

    def __init__(self, registry: Registry, running: Running, peers: Peers, sources: Sources) -> None:
        self._registry = registry
        self._reconciler = running.reconciler
        self._proxy = running.proxy
        self._peers = peers
        self._sources = sources

    @property
    def routes(self) -> Iterable[Route]:
        yield from with_slash("config", self.config)
        yield from both("metrics", self.statistics)
        yield from both("successfulinitreload", self.first_listing)
        yield Route(ANY, f"{LISTENER}notify-services", self.notify)
        yield Route(ANY, f"{LISTENER}ping", self.notify)
        yield Route(ANY, f"{LISTENER}get-services", self.listed)

    async def config(self, request: web.Request) -> web.Response:
        """Return the applied haproxy.cfg, or the services, without secrets."""
        if request.query.get("type", "").lower() == "json":
            entries = sorted(self._registry.snapshot().entries.items())
            return reply(ConfiguredServices({name: service_fields(entry.service) for name, entry in entries}))
        configuration = self._reconciler.outcome.configuration
        if configuration is None:
            raise ProxyUnavailable("there is no configuration yet")
        return web.Response(text=without_secrets(configuration.text()))

    async def statistics(self, request: web.Request) -> web.Response:
        """Return HAProxy's statistics as CSV."""
        if is_distributed(request.query):
            replies = await self._peers.pass_on(request, request.query)
            return web.Response(text="".join(one.text.rstrip("\n") + "\n" for one in replies))
        return web.Response(text=await self._proxy.statistics.csv())

    async def first_listing(self, _: web.Request) -> web.Response:
        """Return whether the services known at the start are applied, including a listener's if no Swarm is watched."""
        heard = self._sources.listeners.heard or self._sources.swarm().last_listing is not None
        return web.Response(status=200 if heard and self._reconciler.outcome.configuration else 500)

    async def notify(self, _: web.Request) -> web.Response:
        """Do nothing: the Swarm is watched. Users of Docker Flow Swarm Listener still call this path."""
        return reply(Acknowledgement())

    async def listed(self, _: web.Request) -> web.Response:
        """List the services of the Swarm as Docker Flow Swarm Listener would send them."""
        entries = self._registry.snapshot().entries.values()
        listed = [entry for entry in entries if entry.origin == Origin.SWARM]
        return reply(ListedServices([{"distribute": "true", **shown(entry.parameters)} for entry in listed]))
