"""What breaks around the proxy, with load on a healthy service: its requests are answered all the same."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from certificates import make_certificate
from controller import Answer, Controller, Origin, Tls, requests_all_the_time
from support import eventually, rounds

Origins = Callable[[str], Origin]

# Python runs it before anything else. The machine's own clock is not ours to turn.
TURNED_CLOCK = """
import pathlib, time
clock, turn = time.time, pathlib.Path({file!r})
time.time = lambda: clock() + float(turn.read_text())
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.mark.longer
def test_a_controller_that_is_killed_at_any_moment_leaves_no_trace(controller: Controller, origin: Origins) -> None:
    """While services come, with and without a reload: whatever was answered with 200 is there afterwards."""
    kills = rounds(6, soak=50)
    port = str(origin("web").port)
    controller.start()
    controller.reconfigure("web", servicePath="/", port=port, outboundHostname="127.0.0.1")
    promised: set[str] = set()
    moments = random.Random(4711)  # noqa: S311 - any moments will do
    with requests_all_the_time(controller.traffic, "/") as statuses:
        for number in range(kills):
            asking = threading.Thread(target=_ask_for, args=(controller, f"s{number}", port, promised))
            asking.start()
            _let_pass(moments.uniform(0, 0.3))
            controller.signal(signal.SIGKILL)
            asking.join()
            controller.launch()
            eventually(lambda: controller.api("/v1/ping").status == 200)
            if number % 2:  # otherwise it is killed while it starts
                eventually(lambda: controller.status["ready"])
        eventually(lambda: controller.status["ready"])
        controller.api("/v1/reload")

    assert set(statuses) == {200}
    assert len(promised) >= kills / 5
    assert {name for name in promised if controller.get(f"/{name}/").text.split()[0] != "web"} == set()
    assert controller.status["quarantined"] == {}
    assert promised <= {service["name"] for service in controller.api("/v1/services").json}


def _let_pass(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > deadline)


def _ask_for(controller: Controller, name: str, port: str, promised: set[str]) -> None:
    for turn in range(100):
        wish = {"setReqHeader": f"X-Turn %[int({turn})]"} if turn % 2 else {}
        try:
            path = f"/{name}-{turn}/"
            answer = controller.reconfigure(
                f"{name}-{turn}", servicePath=path, port=port, outboundHostname="127.0.0.1", **wish
            )
        except (OSError, HTTPException):
            return
        if answer.status == 200:
            promised.add(f"{name}-{turn}")


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_state_folder_that_cannot_be_written(tls: Tls, origin: Origins, how: str) -> None:
    port = str(origin("web").port)
    tls.folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", tls.folder], check=True)
    try:
        tls.begin()
        first, _ = make_certificate("a.org")
        assert tls.put_certificate("a.org.pem", first).status == 200
        assert _reconfigure(tls, "web", port).status == 200
        with requests_all_the_time(tls.traffic, "/web") as statuses, _unwritable(tls.folder, how) as reason:
            answer = _reconfigure(tls, "late", port)
            assert answer.status == 500
            eventually(lambda: "late" not in tls.status["quarantined"])
            assert reason in answer.json["Message"]
            assert tls.get("/late").status == 503
            changed = _reconfigure(tls, "web", port, servicePath="/moved")
            assert reason in changed.json["Message"]
            # What needs no file of ours goes on: a certificate, and so do servers.
            second, serial = make_certificate("a.org")
            assert tls.put_certificate("a.org.pem", second).status == 200
            assert tls.serial("a.org") == serial
            assert any(reason in warning for warning in tls.status["warnings"])
            assert tls.get("/web").status == 200
        assert set(statuses) == {200}
        eventually(lambda: not any(reason in warning for warning in tls.status["warnings"]))
        assert _reconfigure(tls, "late", port).status == 200
        assert tls.get("/late").status == 200
        tls.signal(signal.SIGTERM)
        tls.start(**tls.environment)
        assert tls.get("/late").status == 200
        assert tls.serial("a.org") == serial
    finally:
        tls.end()
        subprocess.run(["umount", "--lazy", tls.folder], check=True)


@contextmanager
def _unwritable(folder: Path, how: str) -> Iterator[str]:
    """Gives the words that the system has for it."""
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield "Read-only file system"
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        return
    filling = os.open(folder / "filling", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(filling, b"x" * 512):
            pass
    os.close(filling)
    yield "No space left on device"
    (folder / "filling").unlink()


@needs_root
def test_a_clock_that_jumps(controller: Controller, origin: Origins, tmp_path: Path) -> None:
    """The controller's alone, by an hour back and a day ahead: registrations are live at once, and no service
    becomes older by it."""
    turn = tmp_path / "seconds"
    turn.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(TURNED_CLOCK.format(file=str(turn)))
    controller.start(PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    given = {"servicePath": "/", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("web", **given).status == 200
    with requests_all_the_time(controller.traffic, "/") as statuses:
        for number, seconds in enumerate((-3600, 86400, -3600)):
            _put(turn, str(seconds))
            late = {**given, "port": str(origin(f"late{number}").port)}
            began = time.monotonic()
            assert controller.reconfigure(f"late{number}", **late | {"servicePath": f"/{number}"}).status == 200
            assert controller.get(f"/{number}").text.startswith(f"late{number} ")
            assert controller.reconfigure(f"a-rival{number}", **late).status == 200
            assert time.monotonic() - began < 2
            assert controller.get("/").text.startswith("web ")
            assert controller.status["ready"]
    assert set(statuses) == {200}
    assert {conflict["winner"] for conflict in controller.status["conflicts"]} == {"web"}
    saved = {file.stem: json.loads(file.read_text()) for file in (controller.folder / "services").glob("*.json")}
    ages = {name: service["created"] for name, service in saved.items()}
    assert ages["web"] < ages["late0"] < ages["late1"] - 86000, "the clock was not turned"


def _put(file: Path, text: str) -> None:
    """At once, since it is read all the time."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(file)


def test_name_servers_that_do_not_answer(controller: Controller, origin: Origins, tmp_path: Path) -> None:
    port = str(origin("web").port)
    (tmp_path / "resolv.conf").write_text("nameserver 127.99.99.99\noptions timeout:30 attempts:5\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.99.99.99", 53))
        _launch_with(controller, tmp_path / "resolv.conf", "/etc/resolv.conf", RECONFIGURE_ATTEMPTS="2")
        eventually(lambda: controller.status["ready"])
        assert _reconfigure(controller, "web", port).status == 200
        with requests_all_the_time(controller.traffic, "/web") as statuses, ThreadPoolExecutor(20) as callers:
            begun = time.monotonic()
            waiting = [
                callers.submit(_reconfigure, controller, f"far{n}", port, outboundHostname=f"far{n}.example")
                for n in range(20)
            ]
            near = [_reconfigure(controller, f"near{n}", port).status for n in range(5)]
            quick = time.monotonic() - begun
            answers: list[Answer] = [call.result() for call in waiting]
        assert near == [200] * 5
        assert quick < 4
        assert {answer.status for answer in answers} == {500}
        assert "the name far0.example does not resolve" in answers[0].json["Message"]
        assert set(statuses) == {200}


@needs_root
def test_a_call_waits_for_a_name_that_resolves_later(controller: Controller, origin: Origins, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    _launch_with(controller, hosts, "/etc/hosts")
    eventually(lambda: controller.status["ready"])
    port = str(origin("web").port)
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(_reconfigure, controller, "web", port, outboundHostname="later.test")
        eventually(lambda: "name resolution failed" in controller.log.read_text() or call.running())
        hosts.write_text("127.0.0.1 localhost later.test\n")
        assert call.result().status == 200
    assert controller.get("/web").status == 200


@needs_root
def test_a_replica_that_fails_is_named_and_does_not_keep_another_from_starting(
    controller: Controller, tmp_path: Path
) -> None:
    """The other one, at 127.0.0.3, gives scripted answers."""
    asked: list[str] = []
    status = 502

    class Replica(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n127.0.0.1 tasks.proxy\n127.0.0.3 tasks.proxy\n")
    with ThreadingHTTPServer(("127.0.0.3", controller.port), Replica) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        _launch_with(controller, tmp_path / "hosts", "/etc/hosts", IP="127.0.0.1", SERVICE_NAME="proxy")
        eventually(lambda: controller.status["ready"])
        answer = _reconfigure(controller, "web", "80", distribute="true")
        assert answer.status == 500
        assert "1 of 2 replicas failed: 127.0.0.3" in answer.json["Message"]
        status = 200
        assert _reconfigure(controller, "web", "80", distribute="true").status == 200
        assert controller.api("/v1/services/web").status == 200
        other.shutdown()
    seen = urlsplit(asked[-1].removeprefix("GET "))
    assert seen.path == "/v1/docker-flow-proxy/reconfigure"
    assert dict(parse_qsl(seen.query)) == {
        "serviceName": "web",
        "servicePath": "/web",
        "port": "80",
        "outboundHostname": "127.0.0.1",
        "distribute": "false",
    }


def _launch_with(controller: Controller, file: Path, over: str, **environment: str) -> None:
    """With a file of ours where the system has its own."""
    controller.launch(**environment)
    controller.signal(signal.SIGKILL)
    command = f"mount --bind {file} {over} && exec {sys.executable} -m flowproxy serve"
    with controller.log.open("ab") as log:
        controller.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", command],
            env={"PATH": os.environ["PATH"], **controller.environment},
            stdout=log,
            stderr=log,
        )


def test_unreadable_files_are_logged_renamed_and_never_overwritten(controller: Controller, origin: Origins) -> None:
    port = str(origin("web").port)
    controller.start()
    for name in ("good", "cut", "garbage", "foreign"):
        assert _reconfigure(controller, name, port).status == 200
    controller.signal(signal.SIGTERM)
    services = controller.folder / "services"
    whole = (services / "cut.json").read_text()
    (services / "cut.json").write_text(whole[: len(whole) // 2])
    (services / "garbage.json").write_bytes(os.urandom(1000))
    (services / "foreign.json").write_text(json.dumps({"something": "else"}))
    (controller.folder / "endpoints.json").write_text("[")
    for path in (controller.folder / "maps").iterdir():
        path.write_bytes(b"\xff\xfe\n\n??")
    (controller.folder / "haproxy.pid").write_text("1\n")
    broken = {path.name: path.read_bytes() for path in services.iterdir() if path.name != "good.json"}
    controller.start()

    assert controller.get("/good").status == 200
    log = controller.log.read_text()
    for name, content in broken.items():
        assert f"services/{name}" in log
        assert (services / name).read_bytes() == content
    assert _reconfigure(controller, "cut", port).status == 200
    assert controller.get("/cut").status == 200
    aside = [path.read_bytes() for path in services.glob("cut.json.unreadable-*")]
    assert aside == [broken["cut.json"]]
    controller.signal(signal.SIGTERM)
    controller.start()
    assert controller.get("/cut").status == 200


def _reconfigure(controller: Controller, name: str, port: str, **parameters: str) -> Answer:
    given = {"servicePath": f"/{name}", "port": port, "outboundHostname": "127.0.0.1", **parameters}
    return controller.reconfigure(name, **given)
