"""What clients notice of updates, scaling and deaths on a real Swarm, under load of every kind: nothing."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import eventually, rounds
from swarm.client import answers, get, require_free
from swarm.load import Load
from swarm.testbed import Swarm

from flowproxy.haproxy.commands import server_states

STATUS = "http://127.0.0.1:8080/v1/status"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all tasks write their POSTs to."""
    folder = tmp_path_factory.mktemp("shared")
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def web(clear_swarm: Swarm, flowproxy_image: str, origin_image: str, shared: Path) -> Swarm:
    """The proxy, and a service of three tasks behind it."""
    require_free(80, 8080)
    swarm = clear_swarm
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
    ports = "--publish mode=host,published=80,target=80 --publish mode=host,published=8080,target=8080"
    socket = f"--mount type=bind,source={swarm.socket},target=/var/run/docker.sock,readonly"
    common = "--detach --no-resolve-image --network proxy --endpoint-mode dnsrr"
    swarm.docker("service", "create", *f"{common} --name proxy --user root {ports} {socket}".split(), flowproxy_image)
    labels = "--label com.df.notify=true --label com.df.servicePath=/web --label com.df.port=8080"
    folder = f"--mount type=bind,source={shared},target=/shared --update-delay 0s --stop-grace-period 30s"
    origin = f"{common} --name web --replicas 3 {labels} --label com.df.timeoutServer=4 {folder}"
    swarm.docker("service", "create", *origin.split(), origin_image)
    eventually(answers(STATUS, text='"ready": true'), within=40)
    swarm.containers("web", count=3)
    eventually(lambda: servers() == 3, within=20)
    return swarm


def servers() -> int:
    found = json.loads(get("http://127.0.0.1:8080/v1/services/web").text)
    return len(found["servers"]["web-be8080_0"])


def status() -> Any:
    return json.loads(get(STATUS).text)


ASK_HAPROXY = """
import socket
connection = socket.socket(socket.AF_UNIX)
connection.connect("/cfg/haproxy.sock")
connection.sendall(b"show servers state web-be8080_0\\n")
while part := connection.recv(65536):
    print(part.decode(), end="")
"""


def serving(swarm: Swarm) -> list[tuple[str, str, str]]:
    """The servers that HAProxy sends requests to."""
    [proxy] = swarm.containers("proxy")
    states = server_states(swarm.docker("exec", proxy, "python3", "-c", ASK_HAPROXY))
    return sorted((state.name, state.address, state.port) for state in states if not state.is_in_maintenance)


def settled(swarm: Swarm, count: int, unlike: set[str] | None = None) -> Callable[[], bool]:
    """A condition: so many tasks run, HAProxy has them all, none of them is one of the old ones."""

    def check() -> bool:
        now = set(swarm.containers("web", count=count))
        assert not now & (unlike or set()), "old tasks are still there"
        assert servers() == count
        return True

    return check


def under_load(swarm: Swarm, shared: Path, act: Callable[[], object], until: Callable[[], bool]) -> Load:
    """Lets every kind of client ask before, while and after something happens."""
    (shared / "posts").unlink(missing_ok=True)
    load = Load("/web")
    with load.running():
        eventually(load.has_answered(slow=2), within=20)
        act()
        eventually(until, within=120)
        eventually(load.has_answered(slow=load.answered["slow"] + 4), within=40)
    written = Counter((shared / "posts").read_text().split())
    assert {number: times for number, times in written.items() if times > 1} == {}, "a POST was sent twice"
    assert load.posts_answered <= {int(number) for number in written}
    assert not load.posts_not_sent & {int(number) for number in written}
    assert all(load.answered[kind] > 3 for kind in ("keep-alive", "new connection", "post", "websocket", "events"))
    return load


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_a_rolling_update(web: Swarm, shared: Path, order: str) -> None:
    before = set(web.containers("web", count=3))
    update = f"service update --detach --force --update-order {order} --update-parallelism 1 web"
    load = under_load(web, shared, lambda: web.docker(*update.split()), settled(web, 3, before))

    assert load.failures == {}


def test_scaling_up_and_down(web: Swarm, shared: Path) -> None:
    def act() -> None:
        for count in (10, 2):
            web.docker("service", "scale", "--detach", f"web={count}")
            eventually(settled(web, count), within=60)

    before = status()
    load = under_load(web, shared, act, settled(web, 2))
    after, shown = status(), serving(web)
    web.docker("service", "scale", "--detach", "web=3")
    eventually(settled(web, 3), within=40)

    assert load.failures == {}
    assert after["haproxy"]["worker"] == before["haproxy"]["worker"]
    assert after["reloads"] == before["reloads"]
    assert len(shown) == 2


def test_servers_that_came_and_went_without_a_reload_are_those_of_a_fresh_start(web: Swarm) -> None:
    for count in (5, 3):
        web.docker("service", "scale", "--detach", f"web={count}")
        eventually(settled(web, count), within=60)
    worker, shown = status()["haproxy"]["worker"], serving(web)

    assert get("http://127.0.0.1:8080/v1/reload", within=30).status == 200
    assert status()["haproxy"]["worker"] != worker
    assert serving(web) == shown
    assert len(shown) == 3


def test_a_rollback(web: Swarm, shared: Path) -> None:
    before = set(web.containers("web", count=3))
    web.docker("service", "update", "--detach", "--env-add", "X=1", "web")
    eventually(settled(web, 3, before), within=60)
    before = set(web.containers("web", count=3))
    load = under_load(
        web, shared, lambda: web.docker("service", "rollback", "--detach", "web"), settled(web, 3, before)
    )

    assert load.failures == {}


def test_a_task_that_is_killed_takes_only_its_own_requests_along(web: Swarm, shared: Path) -> None:
    victim, *_ = web.containers("web", count=3)

    def act() -> None:
        os.kill(web.api.inspect_container(victim)["State"]["Pid"], signal.SIGKILL)

    load = under_load(web, shared, act, settled(web, 3, {victim}))

    # A GET that was inside is asked of another task; a POST, a WebSocket or a stream cannot be.
    lost = {kind: times for kind, times in load.failures.items() if kind.startswith(("keep-alive", "new", "slow"))}
    assert lost == {}
    assert sum(load.failures.values()) <= 3


def test_a_task_that_accepts_and_never_answers(web: Swarm, shared: Path) -> None:
    victim, *_ = web.containers("web", count=3)
    flag = shared / f"hang-{victim[:12]}"

    def act() -> None:
        flag.touch()

    load = under_load(web, shared, act, flag.exists)
    flag.unlink()

    lost = {kind: times for kind, times in load.failures.items() if kind.startswith(("keep-alive", "new", "slow"))}
    assert lost == {}


@pytest.mark.longer
def test_many_reloads(web: Swarm, shared: Path) -> None:
    times = rounds(20, soak=100)

    def act() -> None:
        for _ in range(times):
            assert get("http://127.0.0.1:8080/v1/reload", within=30).status == 200

    before = status()["reloads"]
    load = under_load(web, shared, act, settled(web, 3))

    assert load.failures == {}
    assert status()["reloads"] >= before + times
