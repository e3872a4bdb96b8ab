"""A node that is about to stop announces it first, and another proxy takes its place without a refused connection."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from controller import Controller, Origin, fetch
from support import eventually

Origins = Callable[[str], Origin]

PATH = "/.flowproxy/ready"


def serve(controller: Controller, origin: Origins, **environment: str) -> dict[str, str]:
    """Starts it with a service at /; returns what the service asked for."""
    controller.start(**environment)
    given = {"servicePath": "/", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("web", **given).status == 200
    return given


def terminate(controller: Controller) -> None:
    assert controller.process
    controller.process.send_signal(signal.SIGTERM)


def test_it_is_not_ready_before_it_serves(controller: Controller, tmp_path: Path) -> None:
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    controller.launch(FLOWPROXY_HAPROXY=str(program))

    answer = eventually(lambda: controller.api("/v1/ready"))
    assert (answer.status, answer.json) == (503, {"ready": False})


def test_everybody_may_ask_whether_it_is_ready(controller: Controller) -> None:
    controller.start(FLOWPROXY_API_TOKEN="a-long-secret")

    answer = eventually(lambda: controller.api("/v1/ready"))
    assert (answer.status, answer.json) == (200, {"ready": True})
    assert fetch(controller.port, "/v1/ready", method="POST").status == 405


def test_for_the_delay_it_says_that_it_leaves_and_serves_on(controller: Controller, origin: Origins) -> None:
    given = serve(
        controller, origin, FLOWPROXY_SHUTDOWN_DELAY="4", FLOWPROXY_READY_PATH=PATH, FLOWPROXY_DRAIN_TIMEOUT="2"
    )
    assert controller.api("/v1/ready").status == 200
    assert controller.get(PATH).status == 200
    reloads = controller.status["reloads"]
    began = time.monotonic()
    terminate(controller)

    eventually(lambda: controller.api("/v1/ready").status == 503)
    eventually(lambda: controller.get(PATH).status == 503)
    assert controller.status["ready"] is False
    assert controller.status["reloads"] == reloads
    assert controller.get("/").status == 200
    # What changes is still followed, and a reload does not forget it.
    assert controller.reconfigure("late", **given | {"servicePath": "/late", "timeoutServer": "7"}).status == 200
    assert controller.status["reloads"] == reloads + 1
    assert controller.get("/late").status == 200
    assert controller.get(PATH).status == 503
    assert controller.process
    assert controller.process.wait(30) == 0
    assert 4 <= time.monotonic() - began < 4 + 2 + 1


def test_the_next_start_is_ready_again(controller: Controller, origin: Origins) -> None:
    serve(controller, origin, FLOWPROXY_READY_PATH=PATH)
    assert controller.signal(signal.SIGTERM) == 0
    controller.start(FLOWPROXY_READY_PATH=PATH)

    eventually(lambda: controller.get(PATH).status == 200)


def test_no_service_gets_the_path(controller: Controller, origin: Origins) -> None:
    given = serve(controller, origin, FLOWPROXY_READY_PATH=PATH)
    greedy = given | {"servicePath": PATH, "serviceDomain": "localhost", "aclName": "0"}
    assert controller.reconfigure("greedy", **greedy).status == 200

    assert "Service ready" in controller.get(PATH).text
    assert "Service ready" in controller.get(PATH, host="LOCALHOST:80").text
    assert f" {PATH}/below" in controller.get(f"{PATH}/below").text


def test_without_the_setting_it_is_a_path_as_any_other(controller: Controller, origin: Origins) -> None:
    serve(controller, origin)

    assert controller.get(PATH).text.startswith(f"web {PATH}")
    assert "monitor" not in (controller.folder / "haproxy.cfg").read_text()


@pytest.mark.parametrize("path", ["ready", "/", "/a b", "/%[src]", "/a\n"])
def test_a_path_that_is_none_is_named_in_one_line(controller: Controller, path: str) -> None:
    controller.launch(FLOWPROXY_READY_PATH=path)
    assert controller.process
    assert controller.process.wait(30) == 1
    assert controller.log.read_text().startswith("flowproxy: FLOWPROXY_READY_PATH: ")


@contextmanager
def clients(port: int, pauses: Sequence[float]) -> Iterator[Counter[str]]:
    """Asks with one client for each pause between its requests, on one connection for as long as HAProxy does not
    close it with an answer; a pause of 0 is a new connection for each request. Counts statuses and names of errors."""
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def ask(pause: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while not stop.wait(pause):
            try:
                connection.request("GET", "/", headers={} if pause else {"Connection": "close"})
                answer = connection.getresponse()
                answer.read()
                seen[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                seen[type(error).__name__] += 1
                connection.close()

    threads = [threading.Thread(target=ask, args=(pause,)) for pause in pauses]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("pauses", [(0, 0, 0), (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 0.7, 1.0)], ids=["new", "reused"])
def test_another_proxy_on_the_same_port_takes_over_without_a_lost_request(
    controller: Controller, origin: Origins, tmp_path_factory: pytest.TempPathFactory, pauses: Sequence[float]
) -> None:
    """It takes requests when it knows its services, and the first one makes its clients leave."""
    service = {
        "DFP_SERVICE_SERVICE_NAME": "web",
        "DFP_SERVICE_SERVICE_PATH": "/",
        "DFP_SERVICE_PORT": str(origin("web").port),
        "DFP_SERVICE_OUTBOUND_HOSTNAME": "127.0.0.1",
    }
    controller.start(**service, FLOWPROXY_SHUTDOWN_DELAY="2")
    second = Controller(tmp_path_factory.mktemp("second") / "state")
    second.traffic = controller.traffic
    try:
        with clients(controller.traffic, pauses) as seen:
            eventually(lambda: seen["200"] > 20)
            second.start(**service)
            assert controller.signal(signal.SIGTERM) == 0
            before = seen["200"]
            eventually(lambda: seen["200"] > before + 100)
    finally:
        second.end()

    assert set(seen) == {"200"}
