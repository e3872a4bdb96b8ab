"""The limits of one call to the API: lengths, sizes, seconds, and the content of a body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import hdrs, web

from flowproxy.api.descriptions import refusal
from flowproxy.api.routes import reply
from flowproxy.errors import InvalidCertificate, UnreadableBody

HttpHandler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

BODY_BYTES = 1 << 20
LINE_BYTES = 1 << 18  # a query may hold a certificate
HEADER_BYTES = 1 << 13
IDLE_SECONDS = 15.0  # until the head of a request arrives, and between two requests
LINGERING_SECONDS = 2.0  # to read the rest of a refused request
_PATH_BYTES = 1 << 11
_BODY_SECONDS = 15.0
_CHARSETS = ("utf-8", "us-ascii")  # some of Python's codecs take minutes for a body of this size
_DER = (b"\x30\x80", b"\x30\x81", b"\x30\x82", b"\x30\x83", b"\x30\x84")  # how DER and PKCS#12 files begin


def with_short_paths(handle: HttpHandler) -> HttpHandler:
    """Return a handler that refuses long paths: the time that aiohttp's router takes grows with their square."""

    async def bounded(request: web.BaseRequest) -> web.StreamResponse:
        length = len(request.raw_path.partition("?")[0])
        if length > _PATH_BYTES:
            message = f"the path has {length} bytes; at most {_PATH_BYTES} are accepted"
            return reply(refusal(message), status=414)
        return await handle(request)

    return bounded


async def read_text(request: web.Request) -> None:
    """Read the body, which aiohttp keeps.

    Raises UnreadableBody when it is compressed or not text, InvalidCertificate when it is a binary certificate.
    """
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    if encoding != "identity":
        raise UnreadableBody(f"Content-Encoding: {encoding[:40]!r}: send the body as it is")
    charset = (request.charset or "utf-8").lower()
    if charset not in _CHARSETS:
        raise UnreadableBody(f"Content-Type: charset={charset[:40]!r}: must be utf-8")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
    except (TimeoutError, ConnectionError):  # the client stalled or disconnected
        raise web.HTTPRequestTimeout(text=f"the body did not come within {_BODY_SECONDS:.0f} s") from None
    try:
        body.decode(charset)
    except UnicodeDecodeError as error:
        if body.startswith(_DER):
            raise InvalidCertificate(
                "the body looks like DER or PKCS#12 (.der, .cer, .pfx, .p12); give PEM, which openssl makes of it"
            ) from None
        raise UnreadableBody(f"the body is not {charset} text: byte {error.start} does not fit") from None
