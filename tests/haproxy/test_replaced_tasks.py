"""The last old task of a service is stopped as soon as the new one runs, which may not listen yet."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from controller import Controller
from daemon import Daemon, daemons
from stopwatch import Stopwatch
from support import eventually, free_port

OLD, NEW = "127.0.0.21", "127.0.0.22"


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100


@contextmanager
def listening(address: str, port: int) -> Iterator[None]:
    with Server((address, port), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with daemons() as daemon:
        yield daemon


def addresses(controller: Controller) -> set[str]:
    [servers] = controller.api("/v1/services/web").json["servers"].values()
    return {server.partition(" ")[2].partition(":")[0] for server in servers}


def test_no_request_is_lost_before_the_new_task_listens(controller: Controller, daemon: Daemon) -> None:
    port = free_port()
    daemon.put("web", servicePath="/web", port=str(port))
    daemon.run_task("web", "here", f"{OLD}/8")
    controller.start(**daemon.environment)
    clients = Stopwatch("127.0.0.1", controller.traffic, "/web")
    with ExitStack() as origins:
        origins.enter_context(listening(OLD, port))
        eventually(lambda: controller.get("/web/hello").status == 200, within=30)
        with clients.running():
            eventually(clients.has_asked(20, since=0))
            daemon.run_task("web", "here", f"{NEW}/8")
            daemon.tasks[0]["DesiredState"] = "shutdown"
            daemon.events.put({"Type": "service", "Action": "update", "Actor": {"ID": "id0"}})
            replaced = time.monotonic()
            eventually(lambda: addresses(controller) == {OLD, NEW})
            eventually(lambda: time.monotonic() > replaced + 1)  # as long as a slow program takes to listen
            origins.enter_context(listening(NEW, port))
            eventually(lambda: addresses(controller) == {NEW})
            eventually(clients.has_asked(20, since=time.monotonic()))

    assert clients.failures() == []
