"""The `flowproxy` command and its subcommands."""

from __future__ import annotations

import click

from flowproxy import __version__
from flowproxy.cli.demo import demo
from flowproxy.cli.healthcheck import healthcheck
from flowproxy.cli.serve import serve


@click.group()
@click.version_option(__version__)
def main() -> None:
    """A dynamic reverse proxy for Docker Swarm, with HAProxy as the data plane."""


main.add_command(serve)
main.add_command(demo)
main.add_command(healthcheck)
