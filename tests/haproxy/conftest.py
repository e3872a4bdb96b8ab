"""A real controller with a real HAProxy, and origins to route to."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from controller import Controller, Origin, Tls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("haproxy"):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="haproxy is not installed: apt-get install haproxy"))


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace") if controller.log.exists() else "")


@pytest.fixture
def origin() -> Iterator[Callable[[str], Origin]]:
    """Makes origins: each answers its name and the request's path; /wait answers when it is released."""
    servers = []

    def start(name: str) -> Origin:
        release, asked = threading.Event(), threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.endswith("/wait"):
                    asked.set()
                    release.wait(30)
                body = f"{name} {self.path}\n{self.headers}".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append((server, release))
        return Origin(server.server_address[1], release, asked)

    yield start
    for server, release in servers:
        release.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    controller = Tls(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()
