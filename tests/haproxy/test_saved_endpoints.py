"""A start on what was known: addresses of tasks are reused, so that a saved one may be another container's by now."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from controller import Controller, Origin
from daemon import Daemon, daemons
from support import eventually, free_port

OLD, NEW = "127.0.0.2", "127.0.0.3"


class Container:
    """Answers its name at an address, and counts the requests."""

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name, self.asked = name, 0
        container = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                container.asked += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(container.name.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Cluster:
    """A controller that has served a service whose only task runs at OLD."""

    def __init__(self, controller: Controller, daemon: Daemon) -> None:
        self.controller, self.daemon = controller, daemon
        self.port = free_port()
        self.containers: list[Container] = []
        daemon.put("web", servicePath="/", port=str(self.port))

    def run(self, name: str, address: str) -> Container:
        container = Container(name, address, self.port)
        self.containers.append(container)
        return container

    def move(self) -> tuple[Container, Container]:
        """The task runs at NEW, and a stranger has its address."""
        for container in self.containers:
            container.stop()
        self.daemon.run("web", NEW)
        return self.run("web", NEW), self.run("stranger", OLD)

    def start(self, **environment: str) -> None:
        self.controller.launch(**self.daemon.environment | environment)

    def is_served(self) -> bool:
        return self.controller.get("/").text == "web"

    @property
    def without_docker(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"}

    def confirmed(self) -> Any:
        return json.loads((self.controller.folder / "endpoints.json").read_text())["confirmed"]

    def age(self, confirmed: float | None) -> None:
        """As if the last listing had been then."""
        file = self.controller.folder / "endpoints.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"confirmed": confirmed}))


@pytest.fixture
def cluster(controller: Controller) -> Iterator[Cluster]:
    with daemons() as daemon:
        cluster = Cluster(controller, daemon)
        cluster.run("web", OLD)
        daemon.run("web", OLD)
        cluster.start()
        eventually(cluster.is_served)
        yield cluster
        daemon.answering.set()
    for container in cluster.containers:
        container.stop()


@contextmanager
def asking(controller: Controller) -> Iterator[None]:
    """Requests all the time, answered or not."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.01):
            try:
                controller.get("/")
            except OSError:
                continue

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield
    finally:
        stop.set()
        client.join()


def test_nothing_is_sent_to_a_saved_address_before_the_first_listing(cluster: Cluster) -> None:
    assert cluster.controller.signal(signal.SIGTERM) == 0
    ours, stranger = cluster.move()
    cluster.daemon.answering.clear()
    with asking(cluster.controller):
        cluster.start()
        threading.Timer(1, cluster.daemon.answering.set).start()
        eventually(lambda: ours.asked > 20)

    assert stranger.asked == 0


def test_nor_after_a_first_answer_that_is_an_error(cluster: Cluster) -> None:
    """As that of a daemon that has just begun to start."""
    assert cluster.controller.signal(signal.SIGTERM) == 0
    ours, stranger = cluster.move()
    services = cluster.daemon.services[:]
    cluster.daemon.services[:] = [{"no": "service"}]
    with asking(cluster.controller):
        cluster.start()
        eventually(lambda: "swarm unreachable" in cluster.controller.log.read_text())
        cluster.daemon.services[:] = services
        eventually(lambda: ours.asked > 20)

    assert stranger.asked == 0


def test_a_listing_that_takes_long_is_not_waited_for(cluster: Cluster) -> None:
    assert cluster.controller.signal(signal.SIGTERM) == 0
    cluster.daemon.answering.clear()
    began = time.monotonic()
    cluster.start()
    eventually(cluster.is_served)

    assert 2 < time.monotonic() - began < 6


@pytest.mark.parametrize("age_s", [610, -60, None])
def test_without_docker_old_addresses_are_not_used(cluster: Cluster, age_s: float | None) -> None:
    """Nor those whose age is not known."""
    assert cluster.controller.signal(signal.SIGTERM) == 0
    _, stranger = cluster.move()
    cluster.age(age_s and time.time() - age_s)
    cluster.start(**cluster.without_docker)

    eventually(lambda: cluster.controller.get("/").status == 503)
    eventually(lambda: cluster.controller.status["ready"])
    assert "FLOWPROXY_STALE_AFTER" in cluster.controller.log.read_text()
    assert any("not been reached since the start" in text for text in cluster.controller.status["warnings"])
    assert stranger.asked == 0


def test_without_docker_addresses_are_used_that_were_confirmed_lately(cluster: Cluster) -> None:
    assert cluster.controller.signal(signal.SIGTERM) == 0
    cluster.age(time.time() - 300)
    cluster.start(**cluster.without_docker)

    eventually(cluster.is_served)
    (warning,) = (text for text in cluster.controller.status["warnings"] if "the Swarm" in text)
    assert 300 <= int(warning.split("for ")[1].split()[0]) < 320
    assert time.time() - cluster.confirmed() > 300  # which nobody has confirmed since


def test_the_limit_can_be_set(cluster: Cluster) -> None:
    assert cluster.controller.signal(signal.SIGTERM) == 0
    cluster.age(time.time() - 300)
    cluster.start(**cluster.without_docker, FLOWPROXY_STALE_AFTER="200")

    eventually(lambda: cluster.controller.get("/").status == 503)


def test_a_haproxy_that_goes_on_running_goes_on_serving(cluster: Cluster) -> None:
    """Its servers were followed until its controller was killed."""
    running = eventually(lambda: cluster.controller.status["ready"] and cluster.controller.status["haproxy"]["pid"])
    cluster.controller.signal(signal.SIGKILL)
    cluster.age(time.time() - 1000)
    cluster.controller.start(**cluster.daemon.environment | cluster.without_docker)

    assert cluster.is_served()
    assert cluster.controller.status["haproxy"]["pid"] == running


@pytest.mark.parametrize("moved", [False, True])
def test_a_setting_that_haproxy_refuses_leaves_the_last_configuration_to_servers_that_stayed(
    cluster: Cluster, moved: bool
) -> None:
    assert cluster.controller.signal(signal.SIGTERM) == 0
    stranger = cluster.move()[1] if moved else None
    with asking(cluster.controller):
        cluster.start(EXTRA_FRONTEND="no such line")
        eventually(lambda: cluster.controller.status["failure"])
        if stranger is None:
            eventually(cluster.is_served)
        else:
            eventually(lambda: "the addresses of its servers have changed" in cluster.controller.log.read_text())
    assert stranger is None or stranger.asked == 0


def test_the_time_of_the_last_listing_is_kept_though_nothing_changes(cluster: Cluster) -> None:
    assert cluster.controller.signal(signal.SIGTERM) == 0
    cluster.start(FLOWPROXY_STALE_AFTER="5", FLOWPROXY_RESYNC_INTERVAL="1")
    eventually(cluster.is_served)
    first = cluster.confirmed()

    eventually(lambda: cluster.confirmed() > first)
    assert time.time() - cluster.confirmed() < 3


def test_a_service_that_nobody_is_routed_to_keeps_no_address(cluster: Cluster) -> None:
    """A later call that names it would be served by whatever was there once."""
    assert cluster.controller.signal(signal.SIGTERM) == 0
    del cluster.daemon.services[0]["Spec"]["Labels"]["com.df.notify"]
    cluster.move()
    cluster.start()
    eventually(lambda: cluster.controller.status["swarm"]["connected"])

    eventually(lambda: json.loads((cluster.controller.folder / "endpoints.json").read_text())["tasks"] == {})


def test_what_has_an_address_is_served_without_docker_at_any_age(
    cluster: Cluster, origin: Callable[[str], Origin]
) -> None:
    """A host name is looked up anew, an address is what it is."""
    for name, host in (("address", "127.0.0.1"), ("name", "localhost")):
        given = {"port": str(origin(name).port), "outboundHostname": host}
        assert cluster.controller.reconfigure(name, servicePath=f"/{name}", **given).status == 200
    assert cluster.controller.signal(signal.SIGTERM) == 0
    cluster.age(time.time() - 1000)
    cluster.start(**cluster.without_docker)

    eventually(lambda: cluster.controller.get("/address").status == 200)
    eventually(lambda: cluster.controller.get("/name").status == 200)
