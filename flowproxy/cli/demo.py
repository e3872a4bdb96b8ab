"""`flowproxy demo`: the small origin of the demonstration, without the proxy."""

from __future__ import annotations

import asyncio
import sys

import click


@click.command()
@click.option("--port", default=8080, show_default=True, help="Port to listen on.")
def demo(port: int) -> None:
    """Run only the small origin that `serve --demo` registers."""
    from flowproxy.sources.demo import serve_demo  # only here: the other commands do not need it

    try:
        asyncio.run(serve_demo(port))
    except OSError as error:
        click.echo(f"flowproxy: port {port} cannot be used: {error.strerror}", err=True)
        sys.exit(1)
