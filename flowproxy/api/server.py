"""The application: all paths with their handlers, access control, and the status of each error.

One middleware turns errors into statuses, so that handlers hold no `try`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import structlog
from aiohttp import hdrs, web

from flowproxy.api.access import Access
from flowproxy.api.collaborators import Desired, Peers, Running, Sources
from flowproxy.api.descriptions import refusal
from flowproxy.api.dfp import CertificateCalls, ReplicaCalls, ReportCalls, ServiceCalls
from flowproxy.api.limits import BODY_BYTES
from flowproxy.api.resources import Health, Services
from flowproxy.api.routes import Handler, Route, reply
from flowproxy.errors import (
    ForeignHost,
    ForeignPage,
    InvalidCertificate,
    InvalidService,
    ListenerFailed,
    NotReplica,
    NotStored,
    OwnedElsewhere,
    ParameterRejected,
    ProxyUnavailable,
    Rejected,
    ReplicaFailed,
    Unauthorized,
    UnknownAddress,
    UnreadableBody,
    UnroutedService,
    Untrusted,
)

_log = structlog.get_logger(__name__)

_SHOWN_PATH = 200  # characters
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
    ParameterRejected: 400,
    Rejected: 500,
    ReplicaFailed: 500,
    ListenerFailed: 500,
    UnknownAddress: 500,
    ProxyUnavailable: 503,
    NotStored: 507,
}


def application(access: Access, desired: Desired, running: Running, peers: Peers, sources: Sources) -> web.Application:
    """Return the application with every path of the API."""
    application = web.Application(middlewares=[answer_errors, access.middleware], client_max_size=BODY_BYTES)
    for route in _routes(access, desired, running, peers, sources):
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        for method in methods:
            application.router.add_route(method, route.path, route.handler)
    return application


def _routes(access: Access, desired: Desired, running: Running, peers: Peers, sources: Sources) -> Iterable[Route]:
    registry, reconciler, keyring = desired.registry, running.reconciler, running.keyring
    yield from ServiceCalls(reconciler, peers, sources.listeners).routes
    yield from CertificateCalls(keyring, reconciler, peers).routes
    yield from ReplicaCalls(keyring, peers).routes
    yield from ReportCalls(registry, running, peers, sources).routes
    yield from Services(registry, reconciler, running.proxy).routes
    yield from Health(access, desired, running, peers, sources).routes


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a failed call with the status of its error and a message with the reason."""
    try:
        return await handler(request)
    except tuple(_STATUS) as error:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        _log.info("call refused", path=request.path[:_SHOWN_PATH], status=status, reason=str(error))
        # Nothing more is read from a forbidden call.
        name = "" if isinstance(error, Unauthorized | ForeignPage) else request.query.get("serviceName", "")
        challenge = {str(hdrs.WWW_AUTHENTICATE): "Bearer"} if status == 401 else None
        return reply(refusal(str(error), name), status, challenge)
    except web.HTTPException as error:
        if error.status < 400:  # a redirect
            raise
        return _in_json(request, error)
    except Exception as error:  # noqa: BLE001 - the last resort: the client gets an id, the log has the details
        identity = uuid.uuid4().hex[:12]
        _log.error("call failed", id=identity, path=request.path[:_SHOWN_PATH], exc_info=error)
        return reply(refusal(f"internal error; the log has the details under id {identity}"), 500)


def _in_json(request: web.Request, error: web.HTTPException) -> web.Response:
    """Return an error of aiohttp as an answer of this API."""
    path = repr(request.path[:_SHOWN_PATH])
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"{path} does not take {request.method[:_SHOWN_PATH]}; use {allowed}"
            return reply(refusal(message), error.status, {hdrs.ALLOW: allowed})
        case web.HTTPNotFound():
            return reply(refusal(f"the API has no path {path}"), error.status)
        case web.HTTPRequestEntityTooLarge():
            return reply(refusal(f"the body is too long; at most {BODY_BYTES} bytes are accepted"), error.status)
        case _:
            return reply(refusal(error.text or error.reason), error.status)
