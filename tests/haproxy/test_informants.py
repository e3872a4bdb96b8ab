"""Docker Flow Swarm Listeners that a controller asks for services (LISTENER_ADDRESS)."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from controller import Controller, Origin
from support import eventually

FIRST_SYNC = "/v1/docker-flow-proxy/successfulinitreload"
RELOAD = "/v1/docker-flow-proxy/reload"


class Listener:
    """Answers as the listener does, or as it should not; counts what it was asked."""

    def __init__(self) -> None:
        self.services: object = []
        self.status = 200
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked[self.path.rpartition("/")[2]] += 1
                body = json.dumps(outer.services).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def other() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


def described(name: str, port: int, **more: str) -> dict[str, str]:
    given = {"serviceName": name, "servicePath": f"/{name}", "port": str(port), "outboundHostname": "127.0.0.1"}
    return {**given, "distribute": "true", "replicas": "1", **more}


def test_its_services_are_routed_and_bad_ones_reported(
    controller: Controller, listener: Listener, origin: Callable[[str], Origin]
) -> None:
    port = origin("web").port
    bad = described("bad", port, httpsOnly="perhaps")
    listener.services = [described("web", port), bad, described("gone", port, replicas="0")]
    controller.start(LISTENER_ADDRESS=listener.address, RELOAD_INTERVAL="50")

    eventually(lambda: controller.get("/web").status == 200)
    eventually(lambda: controller.api(FIRST_SYNC).status == 200)
    assert controller.get("/gone").status == 503
    assert "httpsOnly: 'perhaps': must be true or false" in controller.log.read_text()
    assert controller.status["reloads"] <= 1
    assert listener.asked["get-services"] == 1


@pytest.mark.parametrize(("status", "services"), [(500, []), (200, {"not": "a list"}), (200, [{"port": 80}])])
def test_an_answer_that_is_none_is_no_first_sync(
    controller: Controller, listener: Listener, status: int, services: object
) -> None:
    listener.status, listener.services = status, services
    controller.start(LISTENER_ADDRESS=listener.address, RELOAD_INTERVAL="20")

    eventually(lambda: listener.asked["get-services"] >= 3)
    assert controller.api(FIRST_SYNC).status == 500
    assert controller.log.read_text().count("listener unreachable") == 1
    listener.status, listener.services = 200, []
    eventually(lambda: controller.api(FIRST_SYNC).status == 200)


def test_the_only_listener_may_be_asked_again_and_again(
    controller: Controller, listener: Listener, origin: Callable[[str], Origin]
) -> None:
    controller.start(LISTENER_ADDRESS=listener.address, RELOAD_INTERVAL="20", REPEAT_RELOAD="true")
    eventually(lambda: listener.asked["get-services"] >= 3)
    listener.services = [described("late", origin("late").port)]

    eventually(lambda: controller.get("/late").status == 200)


def test_of_several_each_is_asked_only_so_often(controller: Controller, listener: Listener, other: Listener) -> None:
    listener.status = 500
    addresses = f"{listener.address},{other.address}"
    controller.start(LISTENER_ADDRESS=addresses, RELOAD_INTERVAL="10", RELOAD_ATTEMPTS="3")

    eventually(lambda: controller.api(FIRST_SYNC).status == 200)
    eventually(lambda: listener.asked["get-services"] == 3)
    assert other.asked["get-services"] == 1


def test_a_reload_may_ask_all_listeners_to_send_again(
    controller: Controller, listener: Listener, other: Listener
) -> None:
    controller.start(LISTENER_ADDRESS=f"{listener.address},{other.address}")
    assert controller.api(RELOAD, fromListener="true").status == 200
    assert (listener.asked["notify-services"], other.asked["notify-services"]) == (1, 1)

    listener.status = 500
    answer = controller.api(RELOAD, fromListener="true")
    assert (answer.status, answer.json["Status"]) == (500, "NOK")
    assert listener.address in answer.json["Message"]
    assert other.asked["notify-services"] == 2


def test_a_reload_that_makes_the_configuration_anew_asks_nobody(controller: Controller, listener: Listener) -> None:
    controller.start(LISTENER_ADDRESS=listener.address)
    eventually(lambda: controller.api(FIRST_SYNC).status == 200)

    assert controller.api(RELOAD, recreate="true").status == 200
    assert listener.asked["notify-services"] == 0


def test_without_a_listener_there_is_nobody_to_ask(controller: Controller) -> None:
    controller.start()

    assert controller.api(RELOAD, fromListener="true").status == 200
    assert controller.api(FIRST_SYNC).status == 200
