"""Who may call the API: the token, calls of web pages of other origins, and TLS."""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
from pathlib import Path

from aiohttp import hdrs, web

from flowproxy.api.connections import at_work
from flowproxy.api.cross_site import Caller, objection
from flowproxy.api.limits import read_text
from flowproxy.api.routes import Handler
from flowproxy.errors import ForeignPage, InvalidSettings, Unauthorized
from flowproxy.settings.model import Settings

UNGUARDED = (
    "everybody who reaches the API may do everything; set FLOWPROXY_API_TOKEN, or the secret flowproxy_api_token"
)

_GREETINGS = ("ping", "successfulinitreload")
_OPEN = frozenset(
    ["/v1/status", "/v1/ready", "/v1/test", "/v2/test", "/v1/docker-flow-swarm-listener/ping"]
    + ["/v1/docker-flow-swarm-listener/notify-services"]
    + [f"{prefix}{name}" for prefix in ("/v1/", "/v1/docker-flow-proxy/") for name in _GREETINGS]
)
_METRICS = "/metrics"


class Access:
    """Admits callers that have the token of FLOWPROXY_API_TOKEN, or everybody if no token is set."""

    def __init__(self, settings: Settings) -> None:
        token = settings.api_token
        self._token = token.get_secret_value().encode() if token else None
        self._open = _OPEN | {_METRICS} if settings.metrics_open else _OPEN
        own = (settings.service_name, f"tasks.{settings.service_name}", socket.gethostname(), *settings.api_hosts)
        self._hosts = frozenset(name.lower() for name in own)
        self._turn = asyncio.Semaphore(1)

    @property
    def warning(self) -> str | None:
        return UNGUARDED if self._token is None else None

    def admits(self, request: web.Request) -> bool:
        """Return whether the caller has the token. The comparison takes the same time for a wrong token."""
        if self._token is None:
            return True
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = shown.strip().encode(errors="surrogateescape")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse callers without permission before the body is read.

        Raises ForeignPage, Unauthorized, UnreadableBody, InvalidCertificate.
        """
        if reason := objection(_caller_of(request), self._hosts):
            raise ForeignPage(reason)
        if request.path.rstrip("/") not in self._open and not self.admits(request):
            raise Unauthorized("this call needs the header `Authorization: Bearer` with the token of the API")
        await read_text(request)
        with at_work(request.transport):
            # One call begins per turn of the event loop: a flood of calls leaves turns to the Swarm's events.
            async with self._turn:
                await asyncio.sleep(0)
            return await handler(request)


def _caller_of(request: web.Request) -> Caller:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Caller(request.method, request.path, headers)


def tls_of(certificate: Path | None) -> ssl.SSLContext | None:
    """Return the API's TLS context with this certificate, or None for plain HTTP. Raises InvalidSettings."""
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(
            f"FLOWPROXY_API_CERT: {str(certificate)!r}: must be a PEM file with a certificate and its key:"
            f" {error.strerror or error}"
        ) from None
    return context
