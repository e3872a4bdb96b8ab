"""`flowproxy serve`: the controller, with HAProxy alongside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from flowproxy.settings.model import Settings


@click.command()
@click.option("--demo", is_flag=True, help="Register a small origin at /demo.")
def serve(demo: bool) -> None:
    """Run the controller with HAProxy alongside, in the foreground. Settings come from the environment."""
    # Only here: the other commands do not need them.
    from flowproxy.api.connections import raise_file_limit
    from flowproxy.errors import InvalidSettings
    from flowproxy.logs import set_up_log
    from flowproxy.settings.reading import read_settings

    try:
        settings = read_settings()
        set_up_log(settings.log_format, debug=settings.debug)
        raise_file_limit()
        os.umask(0o077)  # only this user may use files and sockets, including HAProxy's
    except InvalidSettings as error:
        _print_error(error)
        sys.exit(1)
    asyncio.run(_serve(settings, demo=demo))


async def _serve(settings: Settings, *, demo: bool) -> NoReturn:
    """Serve until a signal comes, then end the process without waiting for its threads.

    A thread may wait minutes for a name server or a daemon. Everything worth keeping is on the disk by then.
    """
    from flowproxy.app import serve as serve_app
    from flowproxy.errors import InvalidSettings, ProxyUnavailable

    status = 0
    try:
        await serve_app(settings, demo=demo)
    except (InvalidSettings, ProxyUnavailable) as error:
        _print_error(error)
        status = 1
    except Exception:  # noqa: BLE001 - the last resort: end as Python would, but at once
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


def _print_error(error: Exception) -> None:
    for line in str(error).splitlines():
        click.echo(f"flowproxy: {line}", err=True)
