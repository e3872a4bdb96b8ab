"""A controller beside the Swarm, with a wire to the daemon that can be cut: what it routes, and that nothing is lost.

The services' tasks are placed nowhere, and `outboundHostname` leads to the demo origin of the controller: it is the
watching that matters here.
"""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from controller import Controller
from support import eventually
from swarm.testbed import Swarm


class Wire:
    """A socket that leads to the daemon's, until it is cut."""

    def __init__(self, path: Path, daemon: Path) -> None:
        self.path = path
        self._daemon = daemon
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None

    def join(self) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        assert self._server
        self.path.unlink()
        for end in [self._server, *self._open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = server.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(str(self._daemon))
                self._open += [here, there]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def wire(clear_swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Wire:
    wire = Wire(tmp_path_factory.mktemp("wire") / "docker.sock", clear_swarm.socket)
    wire.join()
    return wire


@pytest.fixture(scope="module")
def watching(wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    controller = Controller(tmp_path_factory.mktemp("watching") / "state")
    try:
        controller.start("--demo", FLOWPROXY_SWARM="on", DOCKER_HOST=f"unix://{wire.path}")
        yield controller
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace"))


@pytest.fixture(autouse=True)
def _empty(clear_swarm: Swarm) -> Iterator[None]:
    yield
    clear_swarm.clear()


def create(swarm: Swarm, controller: Controller, name: str, **labels: str) -> None:
    parts = controller.api("/v1/config", type="json").json["demo"]["ServiceDest"][0]
    given = {"notify": "true", "servicePath": f"/{name}", "port": parts["Port"], "outboundHostname": "127.0.0.1"}
    options = [f"--label=com.df.{key}={value}" for key, value in (given | labels).items()]
    nowhere = ["--detach", "--no-resolve-image", "--constraint", "node.labels.none==such"]
    swarm.docker("service", "create", *nowhere, *options, "--name", name, "none")


def routed(controller: Controller, name: str) -> bool:
    return controller.get(f"/{name}").status == 200


def test_labels_decide_from_first_to_last(clear_swarm: Swarm, watching: Controller) -> None:
    """The Swarm is watched instead of a listener."""
    create(clear_swarm, watching, "web")
    eventually(lambda: routed(watching, "web"), within=5)

    clear_swarm.docker("service", "update", "--detach", "--label-add", "com.df.servicePath=/moved", "web")
    eventually(lambda: routed(watching, "moved") and not routed(watching, "web"), within=5)
    clear_swarm.docker("service", "scale", "--detach", "web=0")
    eventually(lambda: not routed(watching, "moved"), within=5)
    clear_swarm.docker("service", "scale", "--detach", "web=1")
    eventually(lambda: routed(watching, "moved"), within=5)
    clear_swarm.docker("service", "update", "--detach", "--label-rm", "com.df.notify", "web")
    eventually(lambda: not routed(watching, "moved"), within=5)
    clear_swarm.docker("service", "update", "--detach", "--label-add", "com.df.notify=true", "web")
    eventually(lambda: routed(watching, "moved"), within=5)
    clear_swarm.docker("service", "rm", "web")
    eventually(lambda: not routed(watching, "moved"), within=5)


def test_a_wrong_label_is_reported_and_the_good_version_stays(clear_swarm: Swarm, watching: Controller) -> None:
    create(clear_swarm, watching, "web")
    eventually(lambda: routed(watching, "web"), within=5)
    clear_swarm.docker("service", "update", "--detach", "--label-add", "com.df.port=http", "web")
    eventually(lambda: "port: 'http'" in watching.status["quarantined"].get("web", ""), within=5)

    assert routed(watching, "web")
    assert "port: 'http'" in watching.api("/v1/services/web").json["error"]
    clear_swarm.docker("service", "rm", "web")
    eventually(lambda: watching.status["quarantined"] == {}, within=5)


def test_only_the_short_name_where_a_label_asks_for_it(clear_swarm: Swarm, watching: Controller) -> None:
    stack = ("com.docker.stack.namespace", "shop")
    for name, short in (("shop_long", "false"), ("shop_short", "true")):
        create(clear_swarm, watching, name, shortName=short)
        clear_swarm.docker("service", "update", "--detach", "--label-add", "=".join(stack), name)

    eventually(lambda: {"shop_long", "short"} <= watching.api("/v1/config", type="json").json.keys(), within=5)


def test_labels_go_before_the_api(clear_swarm: Swarm, watching: Controller) -> None:
    create(clear_swarm, watching, "web")
    eventually(lambda: routed(watching, "web"), within=5)

    answer = watching.reconfigure("web", servicePath="/mine", port="80", outboundHostname="127.0.0.1")
    assert answer.status == 409
    assert "its parameters come from swarm" in answer.json["Message"]


def test_traffic_goes_on_while_the_daemon_is_away_and_what_was_missed_is_found(
    clear_swarm: Swarm, watching: Controller, wire: Wire
) -> None:
    create(clear_swarm, watching, "stays")
    create(clear_swarm, watching, "goes")
    eventually(lambda: routed(watching, "stays") and routed(watching, "goes"), within=5)
    wire.cut()
    eventually(lambda: not watching.status["swarm"]["connected"], within=5)
    clear_swarm.docker("service", "rm", "goes")
    create(clear_swarm, watching, "comes")

    assert routed(watching, "stays")
    assert routed(watching, "goes")
    assert watching.status["swarm"]["error"]
    wire.join()
    eventually(lambda: routed(watching, "comes") and not routed(watching, "goes"), within=20)
    assert routed(watching, "stays")
    assert watching.status["swarm"]["connected"]
