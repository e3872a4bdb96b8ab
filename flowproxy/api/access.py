"""Who may call the API, and how much one caller can ask of it."""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from aiohttp import hdrs, web

from flowproxy.api.connections import at_work
from flowproxy.api.cross_site import Asked, objection
from flowproxy.errors import ForeignPage, InvalidSettings, Unauthorized, UnreadableBody
from flowproxy.settings import Settings

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
HttpHandler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

BODY_BYTES = 1 << 20
LINE_BYTES = 1 << 18  # a query may hold a certificate
_PATH_BYTES = 1 << 11
HEADER_BYTES = 1 << 13
IDLE_SECONDS = 15.0  # for the head of a request to come, and between two
LINGERING_SECONDS = 2.0  # for the rest of a request that was refused
_BODY_SECONDS = 15.0
_CHARSETS = ("utf-8", "us-ascii")  # Python knows some that take minutes for a body of this size

UNGUARDED = "whoever reaches the API may do everything; set FLOWPROXY_API_TOKEN, or the secret flowproxy_api_token"

_GREETINGS = ("ping", "successfulinitreload")
_OPEN = frozenset(
    ["/v1/status", "/v1/ready", "/v1/test", "/v2/test", "/v1/docker-flow-swarm-listener/ping"]
    + ["/v1/docker-flow-swarm-listener/notify-services"]
    + [f"{prefix}{name}" for prefix in ("/v1/", "/v1/docker-flow-proxy/") for name in _GREETINGS]
)
_METRICS = "/metrics"


def with_short_paths(handle: HttpHandler) -> HttpHandler:
    """Return a handler that refuses long paths: the time that aiohttp's router takes grows with their square."""

    async def bounded(request: web.BaseRequest) -> web.StreamResponse:
        length = len(request.raw_path.partition("?")[0])
        if length > _PATH_BYTES:
            return web.Response(status=414, text=f"the path has {length} bytes; at most {_PATH_BYTES} are accepted")
        return await handle(request)

    return bounded


class Access:
    """The token of FLOWPROXY_API_TOKEN. Without one everybody is let in."""

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
        """Whether the caller shows the token; the comparison takes as long for a wrong one as for the right one."""
        if self._token is None:
            return True
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = shown.strip().encode(errors="surrogateescape")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn away whoever may not call, before anything of the call is read.

        Raises ForeignPage, Unauthorized, UnreadableBody.
        """
        if reason := objection(_asked(request), self._hosts):
            raise ForeignPage(reason)
        if request.path.rstrip("/") not in self._open and not self.admits(request):
            raise Unauthorized("this call needs the header `Authorization: Bearer` with the token of the API")
        await _read_text(request)
        with at_work(request.transport):
            # One call begins in each turn of the event loop: a flood of them leaves turns to the Swarm's events.
            async with self._turn:
                await asyncio.sleep(0)
            return await handler(request)


def _asked(request: web.Request) -> Asked:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Asked(request.method, request.path, headers)


async def _read_text(request: web.Request) -> None:
    """Read the body, which aiohttp keeps. Raises UnreadableBody."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    if encoding != "identity":
        raise UnreadableBody(f"Content-Encoding: {encoding[:40]!r}: send the body as it is")
    charset = (request.charset or "utf-8").lower()
    if charset not in _CHARSETS:
        raise UnreadableBody(f"Content-Type: charset={charset[:40]!r}: must be utf-8")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
        body.decode(charset)
    except (TimeoutError, ConnectionError):  # the client stopped in the middle, or left
        raise web.HTTPRequestTimeout from None
    except UnicodeDecodeError as error:
        raise UnreadableBody(f"the body is not {charset} text: byte {error.start} does not fit") from None


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
