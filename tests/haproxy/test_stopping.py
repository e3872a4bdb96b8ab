"""A controller that receives a stop signal ends soon after HAProxy, and always within the drain time and a second."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from certificates import make_certificate
from controller import Controller, Origin, Tls
from support import eventually

Origins = Callable[[str], Origin]

SOON = 0.5


def haproxies(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "exe"]):
        if str(folder) in " ".join(process.info["cmdline"] or []) and "haproxy" in (process.info["exe"] or ""):
            found.append(process)
    return found


def seconds_to_stop(controller: Controller) -> tuple[float, float]:
    """From SIGTERM to the end of HAProxy, and from there to the end of the controller."""
    assert controller.process
    running = haproxies(controller.folder)
    began = time.monotonic()
    controller.process.send_signal(signal.SIGTERM)
    psutil.wait_procs(running, timeout=60)
    stopped = time.monotonic()
    assert controller.process.wait(60) == 0
    ended = time.monotonic()
    assert haproxies(controller.folder) == []
    return stopped - began, ended - stopped


@contextmanager
def silent_server(*, and_then: bytes = b"") -> Iterator[int]:
    """The port of a server that takes connections and answers nothing, or a beginning of an answer."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    connection.sendall(and_then)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
    for connection in kept:
        connection.close()


def test_at_rest(controller: Controller, origin: Origins) -> None:
    controller.start()
    given = {"servicePath": "/", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("web", **given).status == 200

    haproxy, ours = seconds_to_stop(controller)
    assert haproxy < 5
    assert ours < SOON


@pytest.mark.parametrize("reloads", [0, 2], ids=["worker", "old-worker"])
def test_while_clients_keep_idle_connections(controller: Controller, origin: Origins, reloads: int) -> None:
    controller.start()
    given = {"servicePath": "/", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("web", **given).status == 200
    idle = http.client.HTTPConnection("127.0.0.1", controller.traffic, timeout=10)
    idle.request("GET", "/")
    assert idle.getresponse().read()
    for _ in range(reloads):
        assert controller.api("/v1/reload").status == 200

    haproxy, ours = seconds_to_stop(controller)
    assert haproxy < 1
    assert ours < SOON
    idle.close()


def test_right_after_it_has_begun_to_serve(controller: Controller) -> None:
    """A master of HAProxy that has just started its worker misses signals."""
    controller.launch("--demo")
    eventually(lambda: controller.get("/demo/hello").status == 200)

    haproxy, ours = seconds_to_stop(controller)
    assert haproxy < 5
    assert ours < SOON


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"])
def test_while_the_docker_daemon_does_not_answer(controller: Controller, answer: bytes) -> None:
    with silent_server(and_then=answer) as daemon:
        controller.start(FLOWPROXY_SWARM="on", DOCKER_HOST=f"tcp://127.0.0.1:{daemon}", DOCKER_API_VERSION="1.41")

        _, ours = seconds_to_stop(controller)
    assert ours < SOON


@pytest.mark.skipif(os.geteuid() != 0, reason="a name server of one's own needs root")
def test_while_a_name_server_does_not_answer(controller: Controller, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.99.99.98\noptions timeout:30 attempts:5\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.99.99.98", 53))
        # The controller itself has the file of ours where the system has its own.
        mount = f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"'
        controller.wrapper = ("unshare", "--mount", "sh", "-c", mount, "sh")
        controller.start(DFP_SERVICE_SERVICE_NAME="far", DFP_SERVICE_SERVICE_PATH="/far", DFP_SERVICE_PORT="80")
        eventually(lambda: "name resolution failed" in controller.log.read_text(), within=15)

        _, ours = seconds_to_stop(controller)
    assert ours < SOON


def test_while_a_call_waits(controller: Controller) -> None:
    """For a name that does not resolve."""
    controller.start()
    given = {"servicePath": "/", "port": "80", "outboundHostname": "nowhere.invalid"}
    caller = threading.Thread(target=_ask, args=(controller, given))
    caller.start()
    eventually(lambda: "name resolution failed" in controller.log.read_text(), within=20)

    _, ours = seconds_to_stop(controller)
    assert ours < SOON
    caller.join()


def _ask(controller: Controller, given: dict[str, str]) -> None:
    with suppress(OSError, Exception):
        controller.reconfigure("web", **given)


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    """A HAProxy that does what `mode` says: `check` hangs with -c, `start` hangs, `end` ends at once."""
    program = tmp_path / "haproxy"
    real = shutil.which("haproxy")
    program.write_text(f"""#!/bin/sh
mode=$(cat {tmp_path}/mode 2>/dev/null)
case "$mode $*" in
  "check -c"*|"start -W"*) exec sleep 300 ;;
  "end -W"*) exit 1 ;;
esac
exec {real} "$@"
""")
    program.chmod(0o755)
    return program


def _seconds_to_end(controller: Controller) -> float:
    assert controller.process
    began = time.monotonic()
    controller.process.send_signal(signal.SIGTERM)
    controller.process.wait(120)
    return time.monotonic() - began


@pytest.mark.parametrize("mode", ["check", "start", "end"])
def test_in_the_middle_of_a_change_that_does_not_end(tls: Tls, wrapped: Path, mode: str) -> None:
    tls.begin(FLOWPROXY_HAPROXY=str(wrapped), FLOWPROXY_DRAIN_TIMEOUT="3")
    if mode == "check":
        (wrapped.parent / "mode").write_text(mode)
        pem, _ = make_certificate("a.org")
        for ask in (
            lambda: tls.put_certificate("a.pem", pem),
            lambda: tls.reconfigure("web", servicePath="/", port="80", outboundHostname="127.0.0.1", aclName="a"),
        ):
            threading.Thread(target=_quietly, args=(ask,), daemon=True).start()
        eventually(lambda: _hanging(wrapped))
    else:
        haproxy = tls.status["haproxy"]["pid"]
        (wrapped.parent / "mode").write_text(mode)
        os.kill(haproxy, signal.SIGKILL)
        if mode == "start":
            eventually(lambda: _hanging(wrapped))
        else:
            eventually(lambda: tls.log.read_text().count("haproxy restart failed") > 1)

    assert _seconds_to_end(tls) < 4
    assert haproxies(tls.folder) == []


def _hanging(wrapped: Path) -> bool:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "sleep 300" in " ".join(process.cmdline()):
                return True
    return False


def _quietly(ask: Callable[[], object]) -> None:
    with suppress(OSError, Exception):
        ask()


def test_before_it_has_started(controller: Controller, wrapped: Path) -> None:
    controller.start("--demo", FLOWPROXY_HAPROXY=str(wrapped))
    controller.signal(signal.SIGTERM)
    (wrapped.parent / "mode").write_text("check")
    controller.launch(FLOWPROXY_HAPROXY=str(wrapped), FLOWPROXY_DRAIN_TIMEOUT="2")
    eventually(lambda: _hanging(wrapped))

    assert _seconds_to_end(controller) < 3


def test_a_haproxy_that_cannot_come_back_holds_nobody(controller: Controller, origin: Origins, wrapped: Path) -> None:
    """Calls are answered meanwhile, and it comes back as soon as it can."""
    controller.start(FLOWPROXY_HAPROXY=str(wrapped))
    given = {"port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("web", servicePath="/", **given).status == 200
    mode = wrapped.parent / "mode"
    mode.write_text("end")
    os.kill(controller.status["haproxy"]["pid"], signal.SIGKILL)
    eventually(lambda: "haproxy restart failed" in controller.log.read_text())
    answer = controller.reconfigure("late", servicePath="/late", **given)
    assert answer.status == 503
    assert "HAProxy ended at once" in answer.json["Message"]
    mode.unlink()

    assert eventually(lambda: controller.get("/").status == 200)
    assert controller.reconfigure("late", servicePath="/late", **given).status == 200
