from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from support import free_port

from flowproxy.cli.main import main


@contextmanager
def api(body: bytes) -> Iterator[int]:
    """An API that answers `/v1/status` with a body; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/status" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join(5)


@pytest.mark.parametrize(("body", "exit_code"), [(b'{"ready": true}', 0), (b'{"ready": false}', 1)])
def test_the_health_is_that_of_the_controller(body: bytes, exit_code: int) -> None:
    with api(body) as port:
        result = CliRunner(env={"PORT": str(port)}).invoke(main, ["healthcheck"])

    assert result.exit_code == exit_code


def test_no_answer_is_unhealthy() -> None:
    result = CliRunner(env={"PORT": str(free_port())}).invoke(main, ["healthcheck"])

    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_the_operator_can_switch_the_check_off() -> None:
    result = CliRunner(env={"PORT": str(free_port()), "HEALTHCHECK": "false"}).invoke(main, ["healthcheck"])

    assert result.exit_code == 0
