"""Starting, stopping, dying and coming back."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from controller import Controller, Origin, requests_all_the_time
from support import eventually

Origins = Callable[[str], Origin]


def test_the_demo_answers_as_soon_as_it_says_ready(controller: Controller) -> None:
    controller.start("--demo")

    assert controller.get("/demo/hello").status == 200
    eventually(lambda: "ready" in controller.log.read_text())
    log = controller.log.read_text()
    assert f"http://localhost:{controller.traffic}" in log
    assert f"http://localhost:{controller.port}/v1/status" in log


def test_killing_the_controller_stops_no_traffic_and_the_next_one_adopts(
    controller: Controller, origin: Origins
) -> None:
    controller.start()
    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
    master = controller.status["haproxy"]["pid"]

    with requests_all_the_time(controller.traffic, "/") as statuses:
        controller.signal(signal.SIGKILL)
        seen = len(statuses)
        eventually(lambda: len(statuses) > seen + 50)
        controller.start()

    assert set(statuses) == {200}
    assert controller.status["haproxy"]["pid"] == master
    assert controller.status["services"] == 1


def test_what_the_api_registered_survives_a_restart(controller: Controller, origin: Origins) -> None:
    controller.start()
    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
    assert controller.signal(signal.SIGTERM) == 0
    controller.start()

    assert eventually(lambda: controller.get("/").status == 200)


def test_being_told_to_stop_lets_running_requests_finish_and_exits_with_0(
    controller: Controller, origin: Origins
) -> None:
    controller.start()
    web = origin("web")
    controller.reconfigure("web", servicePath="/", port=str(web.port), outboundHostname="127.0.0.1")
    statuses: list[int] = []
    client = threading.Thread(target=lambda: statuses.append(controller.get("/wait").status))
    client.start()
    assert web.asked.wait(10)
    assert controller.process
    controller.process.send_signal(signal.SIGTERM)
    eventually(lambda: not _accepts(controller.traffic))
    web.release.set()
    client.join()

    assert controller.process.wait(30) == 0
    assert statuses == [200]
    assert not _haproxies(controller.folder)


def test_ctrl_c_leaves_nothing_behind(controller: Controller) -> None:
    controller.start("--demo")

    assert controller.signal(signal.SIGINT) == 0
    assert not _haproxies(controller.folder)


def test_a_drain_has_an_end(controller: Controller, origin: Origins) -> None:
    controller.start(FLOWPROXY_DRAIN_TIMEOUT="1")
    web = origin("web")
    controller.reconfigure("web", servicePath="/", port=str(web.port), outboundHostname="127.0.0.1")
    with requests_all_the_time(controller.traffic, "/wait") as statuses:
        assert web.asked.wait(10)

        assert controller.signal(signal.SIGTERM) == 0
        web.release.set()

    assert set(statuses) == {0}


@pytest.mark.parametrize(("role", "seconds"), [("master", 2), ("worker", 1)])
def test_a_haproxy_that_dies_is_started_again(
    controller: Controller, origin: Origins, role: str, seconds: float
) -> None:
    controller.start()
    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
    haproxy = controller.status["haproxy"]
    os.kill(haproxy["pid" if role == "master" else "worker"], signal.SIGKILL)
    begun = time.monotonic()

    eventually(lambda: (controller.status["haproxy"] or haproxy)["worker"] != haproxy["worker"])
    eventually(lambda: controller.get("/").status == 200)
    assert time.monotonic() - begun < seconds
    assert controller.reconfigure("web", servicePath="/b", port="80", outboundHostname="127.0.0.1").status == 200


def test_no_request_is_lost_while_services_come_and_go(controller: Controller, origin: Origins) -> None:
    controller.start()
    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")

    with requests_all_the_time(controller.traffic, "/") as statuses:
        for number in range(30):
            # A line that no spare backend has.
            wish = {"setReqHeader": f"X-Number %[int({number})]"} if number % 2 else {}
            answer = controller.reconfigure(
                f"s{number}", servicePath=f"/s{number}", port="9", outboundHostname="127.0.0.1", **wish
            )
            assert answer.status == 200

    assert set(statuses) == {200}
    assert controller.status["reloads"] == 15


def test_a_download_survives_a_reload(controller: Controller, origin: Origins) -> None:
    controller.start()
    web = origin("web")
    controller.reconfigure("web", servicePath="/", port=str(web.port), outboundHostname="127.0.0.1")
    statuses: list[int] = []
    client = threading.Thread(target=lambda: statuses.append(controller.get("/wait").status))
    client.start()
    assert web.asked.wait(10)
    assert controller.api("/v1/reload").status == 200
    web.release.set()
    client.join()

    assert statuses == [200]


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("DEFAULT_PORTS", "port {port} of DEFAULT_PORTS cannot be used"),
        ("PORT", "the API cannot listen on PORT {port}"),
    ],
)
def test_a_port_that_is_taken_is_named_in_one_line(controller: Controller, variable: str, what: str) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = _failed_start(controller, **{variable: str(port)})

    assert status == 1
    assert what.format(port=port) in said
    assert len(said.splitlines()) == 1


def test_a_missing_haproxy_is_named_in_one_line(controller: Controller) -> None:
    status, said = _failed_start(controller, FLOWPROXY_HAPROXY="/nowhere/haproxy")

    assert status == 1
    assert "there is no program '/nowhere/haproxy'; install HAProxy" in said


def test_a_wrong_setting_is_named_in_one_line(controller: Controller) -> None:
    status, said = _failed_start(controller, TIMEOUT_SERVER="soon")

    assert status == 1
    assert said.startswith("flowproxy: TIMEOUT_SERVER: 'soon': ")


def test_a_second_controller_on_the_same_folder_refuses(controller: Controller, tmp_path: Path) -> None:
    controller.start()
    second = Controller(controller.folder)
    second.log = tmp_path / "second"
    status, said = _failed_start(second)

    assert status == 1
    assert "another controller works in" in said


def test_a_folder_with_garbage_is_no_reason_not_to_start(controller: Controller) -> None:
    (controller.folder / "services").mkdir(parents=True)
    (controller.folder / "haproxy.cfg").write_text("garbage\n")
    (controller.folder / "services" / "web.json").write_text("{")
    controller.start("--demo")

    assert controller.get("/demo/hello").status == 200
    log = controller.log.read_text()
    assert "saved configuration ignored" in log
    assert "saved service is not used" in log
    assert (controller.folder / "services" / "web.json").read_text() == "{"


def _failed_start(controller: Controller, **environment: str) -> tuple[int, str]:
    controller.launch(**environment)
    assert controller.process
    return controller.process.wait(30), controller.log.read_text()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _haproxies(folder: Path) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]


def test_a_configuration_that_was_broken_by_hand_is_mended_by_a_reload(controller: Controller, origin: Origins) -> None:
    controller.start()
    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
    (controller.folder / "haproxy.cfg").write_text("broken\n")

    assert controller.api("/v1/docker-flow-proxy/reload", recreate="true").status == 200
    assert "backend web-be" in (controller.folder / "haproxy.cfg").read_text()
    assert controller.get("/").status == 200


def test_connections_of_an_old_worker_are_cut_where_that_is_asked_for(controller: Controller, origin: Origins) -> None:
    controller.start(TERMINATE_ON_RELOAD="true")
    web = origin("web")
    controller.reconfigure("web", servicePath="/", port=str(web.port), outboundHostname="127.0.0.1")
    seen: list[int | str] = []

    def ask() -> None:
        try:
            seen.append(controller.get("/wait").status)
        except (OSError, http.client.HTTPException) as error:
            seen.append(type(error).__name__)

    client = threading.Thread(target=ask)
    client.start()
    assert web.asked.wait(10)
    for _ in range(3):
        assert controller.api("/v1/reload").status == 200

    eventually(lambda: controller.status["old_workers"] == 0, within=15)
    client.join(20)
    assert seen
    assert seen != [200]
