"""The socket of the API, and the limits of its connections."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from typing import cast

from aiohttp import web

from flowproxy.api.access import tls_of
from flowproxy.api.connections import Connections, Listener
from flowproxy.api.limits import HEADER_BYTES, IDLE_SECONDS, LINE_BYTES, LINGERING_SECONDS, with_short_paths
from flowproxy.errors import ProxyUnavailable
from flowproxy.settings.model import Settings

_END_SECONDS = 0.3  # for calls under way at the end


@contextlib.asynccontextmanager
async def listening(application: web.Application, settings: Settings) -> AsyncIterator[Listener]:
    """Serve the application on PORT while the block runs. Raises ProxyUnavailable, InvalidSettings."""
    tls = tls_of(settings.api_cert)
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_END_SECONDS / 2,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=LINE_BYTES,
        max_field_size=HEADER_BYTES,
        auto_decompress=False,
        lingering_time=LINGERING_SECONDS,
    )
    await runner.setup()
    server = cast(web.Server, runner.server)  # set by setup()
    server.request_handler = with_short_paths(server.request_handler)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = Connections(min(settings.api_connections, files // 2))
    try:
        listener = Listener(settings.ip, settings.port, server, tls, connections)
    except OSError as error:
        raise ProxyUnavailable(f"the API cannot listen on PORT {settings.port}: {error.strerror or error}") from None
    async with listener:
        try:
            yield listener
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await runner.cleanup()
