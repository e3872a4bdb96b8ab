"""The commands. Settings are read here, and errors become one line and an exit status."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os
import ssl
import sys
import traceback
from typing import NoReturn

import click
import structlog

from flowproxy import __version__
from flowproxy.errors import InvalidSettings, ProxyUnavailable
from flowproxy.settings import Settings, environment, read_settings


@click.group()
@click.version_option(__version__)
def main() -> None:
    """A dynamic reverse proxy for Docker Swarm, with HAProxy as the data plane."""


@main.command()
@click.option("--demo", is_flag=True, help="Register a small origin at /demo.")
def serve(demo: bool) -> None:
    """Run the controller with HAProxy alongside, in the foreground. Settings come from the environment."""
    # Not for the other commands, which should be quick.
    from flowproxy.api.connections import raise_file_limit
    from flowproxy.logs import LibraryLog

    try:
        settings = read_settings()
        _set_up_log(settings.log_format, debug=settings.debug)
        logging.basicConfig(level=logging.WARNING, handlers=[LibraryLog()])
        raise_file_limit()
        os.umask(0o077)  # what is written is for us alone, HAProxy's sockets included
    except InvalidSettings as error:
        _say(error)
        sys.exit(1)
    asyncio.run(_serve(settings, demo=demo))


async def _serve(settings: Settings, *, demo: bool) -> NoReturn:
    """Ends the process without waiting for its threads: one may wait for a name server or a daemon for minutes, and
    what is to last is on the disk by then."""
    from flowproxy.app import serve as serve_app  # not for the other commands, which should be quick

    status = 0
    try:
        await serve_app(settings, environment(), demo=demo)
    except (InvalidSettings, ProxyUnavailable) as error:
        _say(error)
        status = 1
    except Exception:  # noqa: BLE001 - the last resort: as Python would end, but at once
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


def _say(error: Exception) -> None:
    for line in str(error).splitlines():
        click.echo(f"flowproxy: {line}", err=True)


@main.command()
@click.option("--port", default=8080, show_default=True, help="Port to listen on.")
def demo(port: int) -> None:
    """Run only the small origin that `serve --demo` registers."""
    from flowproxy.sources.demo import serve_demo

    try:
        asyncio.run(serve_demo(port))
    except OSError as error:
        click.echo(f"flowproxy: port {port} cannot be used: {error.strerror}", err=True)
        sys.exit(1)


@main.command()
def healthcheck() -> None:
    """Exit with 0 when the controller beside answers and HAProxy runs; for the image's HEALTHCHECK."""
    settings = read_settings()
    if not settings.healthcheck:
        return
    connection: http.client.HTTPConnection
    if settings.api_cert:
        itself = ssl._create_unverified_context()  # noqa: S323 - the controller of this very container
        connection = http.client.HTTPSConnection("127.0.0.1", settings.port, timeout=8, context=itself)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=8)
    try:
        connection.request("GET", "/v1/status")
        status = connection.getresponse().read()
    except OSError as error:
        raise click.ClickException(f"the API on port {settings.port} does not answer: {error}") from None
    finally:
        connection.close()
    if b'"ready": true' not in status:
        raise click.ClickException("not ready; /v1/status says why")


def _set_up_log(log_format: str, *, debug: bool) -> None:
    """One line per event on standard output, beside HAProxy's own."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,  # others show the values of variables
        )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="iso" if log_format == "json" else "%H:%M:%S", utc=log_format == "json"
            ),
            *([structlog.processors.format_exc_info] if log_format == "json" else []),
            renderer,
        ],
        # A line and its end in one write: HAProxy writes to the same place, and must not come in between.
        logger_factory=structlog.WriteLoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        cache_logger_on_first_use=True,
    )
