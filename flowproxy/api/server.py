"""The socket of the API, and the limits of its connections."""

from __future__ import annotations

import resource
from typing import cast

from aiohttp import web

from flowproxy.api.access import (
    HEADER_BYTES,
    IDLE_SECONDS,
    LINE_BYTES,
    LINGERING_SECONDS,
    tls_of,
    with_short_paths,
)
from flowproxy.api.connections import Connections, Listener
from flowproxy.errors import ProxyUnavailable
from flowproxy.settings import Settings

_SHUTDOWN_SECONDS = 0.15  # for calls under way at the end


async def listen(application: web.Application, settings: Settings) -> tuple[Listener, web.AppRunner]:
    """Open the port of the API. Connections are accepted once the listener is entered.

    Raises ProxyUnavailable, InvalidSettings.
    """
    tls = tls_of(settings.api_cert)
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_SECONDS,
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
        return Listener(settings.ip, settings.port, server, tls, connections), runner
    except OSError as error:
        raise ProxyUnavailable(f"the API cannot listen on PORT {settings.port}: {error.strerror or error}") from None
