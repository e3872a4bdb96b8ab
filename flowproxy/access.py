"""Who may call the API, and how much one caller can ask of it."""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from aiohttp import hdrs, web

from flowproxy.errors import InvalidSettings, Unauthorized
from flowproxy.settings import Settings

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY_BYTES = 1 << 20
LINE_BYTES = 1 << 18  # a query may hold a certificate
HEADER_BYTES = 1 << 13
IDLE_SECONDS = 15.0  # for the head of a request to come, and between two
_BODY_SECONDS = 15.0

UNGUARDED = "whoever reaches the API may do everything; set FLOWPROXY_API_TOKEN, or the secret flowproxy_api_token"

_GREETINGS = ("ping", "successfulinitreload")
_OPEN = frozenset(
    ["/v1/status", "/v1/test", "/v2/test", "/v1/docker-flow-swarm-listener/ping"]
    + ["/v1/docker-flow-swarm-listener/notify-services"]
    + [f"{prefix}{name}" for prefix in ("/v1/", "/v1/docker-flow-proxy/") for name in _GREETINGS]
)
_METRICS = "/metrics"


class Access:
    """The token of FLOWPROXY_API_TOKEN. Without one everybody is let in."""

    def __init__(self, settings: Settings) -> None:
        token = settings.api_token
        self._token = token.get_secret_value().encode() if token else None
        self._open = _OPEN | {_METRICS} if settings.metrics_open else _OPEN
        self._turn = asyncio.Semaphore(1)

    @property
    def warning(self) -> str | None:
        return UNGUARDED if self._token is None else None

    def admits(self, request: web.Request) -> bool:
        """Whether the caller shows the token; the comparison takes as long for a wrong one as for the right one."""
        if self._token is None:
            return True
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = shown.strip().encode(errors="surrogateescape")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns away who has no token before anything of the call is read. Raises Unauthorized."""
        if request.path.rstrip("/") not in self._open and not self.admits(request):
            raise Unauthorized("this call needs the header `Authorization: Bearer` with the token of the API")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        # One call begins in each turn of the event loop, so that a flood of them leaves turns to the Swarm's events.
        async with self._turn:
            await asyncio.sleep(0)
        return await handler(request)


def tls_of(certificate: Path | None) -> ssl.SSLContext | None:
    """What the API speaks TLS with, FLOWPROXY_API_CERT. Raises InvalidSettings."""
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


def trust_of(certificate: Path | None) -> ssl.SSLContext | None:
    """What a replica is called with, which has the same certificate: exactly that one is trusted, whatever its name."""
    if certificate is None:
        return None
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
