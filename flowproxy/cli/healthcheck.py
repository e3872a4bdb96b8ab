"""`flowproxy healthcheck`: checks the controller in this container."""

from __future__ import annotations

import http.client
import ssl

import click

_TIMEOUT_S = 8


@click.command()
def healthcheck() -> None:
    """Exit with 0 when the controller in this container answers and HAProxy runs; for the image's HEALTHCHECK."""
    from flowproxy.settings.reading import read_settings  # only here: the other commands do not need it

    settings = read_settings()
    if not settings.healthcheck:
        return
    try:
        status = _status(settings.port, with_tls=settings.api_cert is not None)
    except OSError as error:
        raise click.ClickException(f"the API on port {settings.port} does not answer: {error}") from None
    if b'"ready": true' not in status:
        raise click.ClickException("not ready; /v1/status says why")


def _status(port: int, *, with_tls: bool) -> bytes:
    """Return the body of `/v1/status`. Raises OSError."""
    connection: http.client.HTTPConnection
    if with_tls:
        unverified = ssl._create_unverified_context()  # noqa: S323 - the controller of this very container
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT_S, context=unverified)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/v1/status")
        return connection.getresponse().read()
    finally:
        connection.close()
