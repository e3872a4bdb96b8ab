"""The HTTP API: a path, one call, JSON. One middleware turns our errors into statuses; handlers hold no `try`."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST

from flowproxy import __version__
from flowproxy.api.access import BODY_BYTES, Access
from flowproxy.api.metrics import exposition
from flowproxy.api.schemas import (
    answer,
    described_answer,
    described_entry,
    described_route,
    described_service,
    reports,
)
from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas, Reply
from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import (
    ForeignHost,
    ForeignPage,
    InvalidCertificate,
    InvalidService,
    ListenerFailed,
    NotReplica,
    OwnedElsewhere,
    Problem,
    ProxyUnavailable,
    Rejected,
    ReplicaFailed,
    Unauthorized,
    UnknownAddress,
    UnreadableBody,
    UnroutedService,
    Untrusted,
)
from flowproxy.haproxy.commands import ServerHealth
from flowproxy.haproxy.drift import What
from flowproxy.haproxy.proxy import Proxy, ProxyStatus
from flowproxy.routing.overlaps import Overlap
from flowproxy.routing.table import Request, match
from flowproxy.services.admission import Deprecations
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.settings import Settings
from flowproxy.sources.host_names import Names
from flowproxy.sources.listener import Informants
from flowproxy.sources.swarm import SwarmStatus
from flowproxy.text.secrets import shown, without_secrets

_log = structlog.get_logger(__name__)

_LONGEST_URL = 8192
_LOGGED_PATH = 200
_OVERLAPS = 1000  # listed in the status
_DISTRIBUTED = "Distributed to all instances"
_STATUS: dict[type[Exception], int] = {
    Unauthorized: 401,
    Untrusted: 403,
    ForeignPage: 403,
    NotReplica: 403,
    UnreadableBody: 415,
    UnroutedService: 409,
    InvalidService: 400,
    InvalidCertificate: 400,
    OwnedElsewhere: 409,
    ForeignHost: 409,
    Rejected: 500,
    ReplicaFailed: 500,
    ListenerFailed: 500,
    UnknownAddress: 500,
    ProxyUnavailable: 503,
}


class Api:
    """The handlers, with what they call."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        reconciler: Reconciler,
        proxy: Proxy,
        names: Names,
        keyring: Keyring,
        replicas: Replicas,
        exchange: Exchange,
        informants: Informants,
        deprecations: Deprecations,
        access: Access,
        swarm_status: Callable[[], SwarmStatus],
        background_failures: Mapping[str, int],
        drift_watch: DriftWatch,
    ) -> None:
        self._access = access
        self._settings = settings
        self._registry = registry
        self._reconciler = reconciler
        self._proxy = proxy
        self._names = names
        self._keyring = keyring
        self._replicas = replicas
        self._exchange = exchange
        self._informants = informants
        self._deprecations = deprecations
        self._swarm_status = swarm_status
        self._background_failures = background_failures
        self._drift_watch = drift_watch

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_errors, self._access.middleware], client_max_size=BODY_BYTES)
        for path, handler in (
            ("reconfigure", self.reconfigure),
            ("remove", self.remove),
            ("reload", self.reload),
            ("ping", self.ping),
            ("config", self.config),
        ):
            for prefix in ("/v1/docker-flow-proxy/", "/v1/"):
                application.router.add_route("*", prefix + path, handler)
                application.router.add_route("*", f"{prefix}{path}/", _without_slash)
        for prefix in ("/v1/docker-flow-proxy/", "/v1/"):
            application.router.add_put(f"{prefix}cert", self.put_certificate)
            application.router.add_route("*", f"{prefix}certs", self.certificates)
            application.router.add_post(f"{prefix}certs/send", self.send_certificates)
            application.router.add_post(f"{prefix}replica/state", self._exchange.answer_state)
            application.router.add_post(f"{prefix}replica/records", self._exchange.answer_records)
            application.router.add_route("*", f"{prefix}metrics", self.statistics)
            application.router.add_route("*", f"{prefix}successfulinitreload", self.first_listing)
        application.router.add_route("*", "/v1/docker-flow-swarm-listener/notify-services", self.notify)
        application.router.add_route("*", "/v1/docker-flow-swarm-listener/get-services", self.listed)
        application.router.add_route("*", "/v1/docker-flow-swarm-listener/ping", self.notify)
        application.router.add_get("/metrics", self.metrics)
        application.router.add_route("*", "/v1/test", self.ping)
        application.router.add_route("*", "/v2/test", self.ping)
        application.router.add_get("/v1/services", self.services)
        application.router.add_get("/v1/services/{name}", self.service)
        application.router.add_get("/v1/routes", self.routes)
        application.router.add_get("/v1/explain", self.explain)
        application.router.add_get("/v1/status", self.status)
        application.router.add_get("/v1/ready", self.ready)
        return application

    # Docker Flow Proxy's

    async def reconfigure(self, request: web.Request) -> web.Response:
        parameters = await _parameters(request)
        self._deprecations.tell(parameters)
        service = parse(parameters, self._settings.defaults_for_calls)
        name = service.service_name
        if service.distribute:
            await self._pass_on(request, parameters)
            return web.json_response(answer("OK", _DISTRIBUTED, service))
        before = self._registry.get(name)
        if service.replicas == 0 or not self._settings.takes(service):
            at = await self._created(request)
            await self._reconciler.live(self._registry.remove(name, Origin.API, at), name)
            self._exchange.wake()
            return web.json_response(answer("OK", "", service))
        if not self._settings.do_not_resolve_addr:
            patience = self._settings.reconfigure_attempts if self._settings.skip_address_validation else 0
            for host in sorted(service.hosts()):
                await self._names.require(host, within=patience)
        created = await self._created(request)
        generation = self._registry.put(Entry(service, Origin.API, created, parameters, changed=created))
        try:
            await self._reconciler.live(generation, name)
        except (Rejected, ProxyUnavailable):
            self._restore(name, before)
            raise
        self._exchange.wake()
        table = self._reconciler.outcome.table
        overlaps = await asyncio.to_thread(self._reconciler.overlaps.of, table, name)
        return web.json_response(answer("OK", "", service) | reports(name, table, overlaps))

    async def remove(self, request: web.Request) -> web.Response:
        parameters = await _parameters(request)
        name = parameters.get("serviceName", "")
        if not name:
            raise InvalidService("", (Problem("serviceName", "", "is missing; give the name of the service"),))
        if _is_distributed(parameters):
            await self._pass_on(request, parameters)
            return web.json_response(answer("OK", _DISTRIBUTED, name=name) | {"Distribute": True})
        before = self._registry.get(name)
        at = await self._created(request)
        try:
            await self._reconciler.live(self._registry.remove(name, Origin.API, at), name)
        except (Rejected, ProxyUnavailable):
            self._restore(name, before)
            raise
        self._exchange.wake()
        return web.json_response(answer("OK", "", name=name))

    async def reload(self, request: web.Request) -> web.Response:
        if _is_true(request.query.get("fromListener", "")):
            await self._informants.notify()
            return web.json_response(answer("OK", ""))
        self._reconciler.forget_running()
        await self._reconciler.live(self._registry.touch(), "")
        return web.json_response(answer("OK", ""))

    async def ping(self, _: web.Request) -> web.Response:
        return web.json_response(answer("OK", ""))

    async def first_listing(self, _: web.Request) -> web.Response:
        """Whether what there was at the start is applied, that of a listener included where no Swarm is watched."""
        heard = self._informants.heard or self._swarm_status().last_listing is not None
        return web.Response(status=200 if heard and self._reconciler.outcome.configuration else 500)

    async def config(self, request: web.Request) -> web.Response:
        if request.query.get("type", "").lower() == "json":
            entries = sorted(self._registry.snapshot().entries.items())
            return web.json_response({name: described_service(entry.service) for name, entry in entries})
        configuration = self._reconciler.outcome.configuration
        if configuration is None:
            raise ProxyUnavailable("there is no configuration yet")
        return web.Response(text=without_secrets(configuration.text()))

    async def put_certificate(self, request: web.Request) -> web.Response:
        name, content = request.query.get("certName", ""), await request.text()
        if not name or not content:
            missing = "the query certName" if not name else "the body, a PEM file,"
            raise InvalidCertificate(f"{missing} is missing")
        if _is_distributed(request.query):
            await self._pass_on(request, request.query)
            return web.json_response({"Status": "OK", "Message": _DISTRIBUTED, "Certs": None})
        changed = None
        if _is_true(request.query.get("shared", "true")):
            changed = max(await self._created(request), math.nextafter(self._keyring.changed_at(name), math.inf))
        try:
            generation = await self._keyring.put(name, content, changed)
        except OSError as error:
            raise InvalidCertificate(f"{self._keyring.folder / name} cannot be written: {error.strerror}") from None
        if _is_true(request.query.get("wait", "true")):
            await self._reconciler.live(generation, "")
        self._exchange.wake()
        return web.json_response({"Status": "OK", "Message": "", "Certs": None})

    async def send_certificates(self, request: web.Request) -> web.Response:
        """To the caller, if it is another replica of the proxy: whoever else asks, or has a request sent through the
        proxy, has a replica told what it may know."""
        caller = await self._replicas.require(request)
        known = request.query.get("without", "").split(",")
        wanted = [kept for kept in self._keyring.kept() if kept.name not in known]
        await self._replicas.send_certificates(caller, wanted)
        return web.json_response({"Status": "OK", "Message": f"{len(wanted)} certificates sent"})

    async def certificates(self, _: web.Request) -> web.Response:
        """Without their keys."""
        certificates = [
            {
                "ServicePort": "",
                "ProxyServiceName": kept.name,
                "CertsDir": str(self._keyring.folder),
                "CertContent": kept.chain,
            }
            for kept in self._keyring.kept()
        ]
        return web.json_response({"Status": "OK", "Message": "", "Certs": certificates})

    async def statistics(self, request: web.Request) -> web.Response:
        if _is_distributed(request.query):
            replies = await self._pass_on(request, request.query)
            return web.Response(text="".join(reply.text.rstrip("\n") + "\n" for reply in replies))
        return web.Response(text=self._reconciler.by_name(await self._proxy.statistics()))

    # Its listener's

    async def notify(self, _: web.Request) -> web.Response:
        """Nobody needs to be told: the Swarm is read. Its users call it all the same."""
        return web.json_response({"Status": "OK"})

    async def listed(self, _: web.Request) -> web.Response:
        """What its listener tells of the services of the Swarm."""
        entries = self._registry.snapshot().entries.values()
        listed = [entry for entry in entries if entry.origin == Origin.SWARM]
        return web.json_response([{"distribute": "true", **shown(entry.parameters)} for entry in listed])

    # Ours

    async def metrics(self, _: web.Request) -> web.Response:
        text = await exposition(
            self._reconciler,
            self._proxy,
            self._swarm_status(),
            self._keyring.refused,
            self._background_failures,
            self._drift_watch,
        )
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def services(self, _: web.Request) -> web.Response:
        snapshot, outcome = self._registry.snapshot(), self._reconciler.outcome
        names = sorted(snapshot.entries.keys() | snapshot.invalid.keys())
        remarks = self._registry.remark_on
        overlaps: dict[str, list[Overlap]] = defaultdict(list)
        for overlap in await self._overlaps():
            overlaps[overlap.taker].append(overlap)
            overlaps[overlap.loser].append(overlap)
        return web.json_response(
            [described_entry(n, snapshot.entries.get(n), outcome, remarks(n), overlaps[n]) for n in names]
        )

    async def service(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        snapshot = self._registry.snapshot()
        if name not in snapshot.entries and name not in snapshot.invalid:
            return web.json_response({"error": f"there is no service {name}"}, status=404)
        entry, remark = snapshot.entries.get(name), self._registry.remark_on(name)
        overlaps = [overlap for overlap in await self._overlaps() if name in (overlap.taker, overlap.loser)]
        return web.json_response(described_entry(name, entry, self._reconciler.outcome, remark, overlaps))

    async def routes(self, _: web.Request) -> web.Response:
        return web.json_response([described_route(route) for route in self._reconciler.outcome.table.routes])

    async def explain(self, request: web.Request) -> web.Response:
        given = request.query.get("url", "")
        if len(given) > _LONGEST_URL:
            wrong = Problem("url", given, f"has {len(given)} characters; give one with at most {_LONGEST_URL}")
            return web.json_response({"error": str(wrong)}, status=400)
        asked = _request_for(given)
        if asked is None:
            wrong = Problem("url", without_secrets(given), "give a whole one, such as ?url=http://example.org/api")
            return web.json_response({"error": str(wrong)}, status=400)
        outcome = self._reconciler.outcome
        chosen = match(outcome.table.routes, asked)
        servers = await self._health(chosen.backend) if chosen else []
        remark = self._registry.remark_on(chosen.service) if chosen else None
        return web.json_response(
            {"url": without_secrets(given), **described_answer(asked, chosen, servers, outcome, remark)}
        )

    async def _health(self, backend: str) -> list[ServerHealth] | None:
        """None when HAProxy does not answer."""
        try:
            return await self._proxy.health(self._reconciler.name_in_haproxy(backend))
        except ProxyUnavailable:
            return None

    async def status(self, request: web.Request) -> web.Response:
        """Without the token only whether we live."""
        outcome, snapshot = self._reconciler.outcome, self._registry.snapshot()
        haproxy = await self._proxy.status()
        ready = self._is_ready(haproxy)
        if not self._access.admits(request):
            return web.json_response({"version": __version__, "ready": ready})
        overlaps = await self._overlaps()
        return web.json_response(
            {
                "version": __version__,
                "ready": ready,
                "warnings": [
                    text
                    for text in (
                        self._proxy.unwritten,
                        self._access.warning,
                        self._replicas.warning,
                        self._swarm_status().warning(snapshot.confirmed, time.time()),
                        self._settings.advice,
                    )
                    if text
                ],
                "generation": outcome.applied,
                "wanted_generation": snapshot.generation,
                "failure": outcome.failure,
                "reloads": self._proxy.reloads.total(),
                "reload_reasons": self._proxy.reloads,
                "runtime_updates": self._proxy.runtime_updates,
                "drift": {what: self._drift_watch.repaired[what] for what in What},
                "old_workers": await self._proxy.old_workers(),
                "services": len(snapshot.entries),
                "quarantined": dict(outcome.quarantined),
                "quarantined_certificates": self._keyring.refused,
                "conflicts": [conflict._asdict() for conflict in outcome.table.conflicts],
                "overlaps": [overlap._asdict() for overlap in overlaps[:_OVERLAPS]],
                "overlaps_total": len(overlaps),
                "haproxy": haproxy._asdict() if haproxy else None,
                "swarm": self._swarm_status()._asdict(),
                "replicas": self._exchange.status,
            }
        )

    async def ready(self, _: web.Request) -> web.Response:
        """Whether requests should be sent to this node: 200, or 503 before it serves and when it is about to stop."""
        ready = self._is_ready(await self._proxy.status())
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    def _is_ready(self, haproxy: ProxyStatus | None) -> bool:
        stopping = self._registry.snapshot().stopping
        return haproxy is not None and self._reconciler.outcome.configuration is not None and not stopping

    async def _overlaps(self) -> Sequence[Overlap]:
        """All of them, warnings first; in a thread, because among many services it takes a moment."""
        return await asyncio.to_thread(self._reconciler.overlaps.all, self._reconciler.outcome.table)

    async def _pass_on(self, request: web.Request, query: Mapping[str, str]) -> list[Reply]:
        created = await self._created(request)
        try:
            return await self._replicas.pass_on(request.method, request.path, query, await request.read(), created)
        finally:
            self._exchange.wake()

    async def _created(self, request: web.Request) -> float:
        """When a service was asked for. A replica that passes a call on says when it was first made, so that all of
        them take the same service for the elder."""
        now = self._registry.created_at(time.time())
        passed_on = await self._replicas.created(request)
        return now if passed_on is None else min(passed_on, now)

    def _restore(self, name: str, before: Entry | None) -> None:
        """A refused call changes nothing. Another replica may know of it already, so what was is the newest again."""
        now = self._registry.created_at(time.time())
        if before and before.origin == Origin.API:
            self._registry.put(before._replace(changed=now if before.changed else 0.0))
        elif before is None:
            self._registry.remove(name, Origin.API, now)


async def _parameters(request: web.Request) -> dict[str, str]:
    """Of the query and, as the system we replace takes them, of a form. The first value of a repeated key counts."""
    given = dict(reversed(list(request.query.items())))
    if request.content_type == "application/x-www-form-urlencoded":
        form = await request.post()
        given = {key: value for key, value in form.items() if isinstance(value, str)} | given
    return given


def _is_distributed(parameters: Mapping[str, str]) -> bool:
    return _is_true(parameters.get("distribute", ""))


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1", "t", "on")


async def _without_slash(request: web.Request) -> web.Response:
    raise web.HTTPMovedPermanently(request.rel_url.with_path(request.path.rstrip("/")).with_query(request.query))


def _request_for(url: str) -> Request | None:
    """A GET of a whole URL; None when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return Request(parts.hostname, parts.path or "/", port) if parts.hostname else None


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except tuple(_STATUS) as error:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        _log.info("call refused", path=request.path[:_LOGGED_PATH], status=status, reason=str(error))
        # Nothing more is read of a call that may not be made.
        name = "" if isinstance(error, Unauthorized | ForeignPage) else request.query.get("serviceName", "")
        asks = {hdrs.WWW_AUTHENTICATE: "Bearer"} if status == 401 else None
        return web.json_response(_refusal(str(error), name), status=status, headers=asks)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: the client gets an id, the log the rest
        identity = uuid.uuid4().hex[:12]
        _log.error("call failed", id=identity, path=request.path[:_LOGGED_PATH], exc_info=error)
        message = f"something went wrong here; the log says more under id {identity}"
        return web.json_response(_refusal(message, ""), status=500)


def _refusal(message: str, name: str) -> dict[str, Any]:
    return answer("NOK", message, name=name)
