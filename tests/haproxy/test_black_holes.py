"""A task whose packets are dropped: nothing says that it is dead, so that only deadlines help."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from controller import Controller
from namespaces import inside, run
from stopwatch import Stopwatch
from support import eventually, free_port

PROGRAMS = ("iptables", "ip", "unshare", "sysctl")
NAMESPACES = PROXY, TASK = f"fp-proxy-{os.getpid()}", f"fp-task-{os.getpid()}"
SYSCTL = "net.ipv4.tcp_retries2=1"  # as in compose.yml
GATEWAY, TASKS = "10.214.77.1", ("10.214.77.11", "10.214.77.12", "10.214.77.13")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(name) is None for name in PROGRAMS),
    reason=f"dropping packets needs root and {', '.join(PROGRAMS)}",
)


class Tasks:
    """Three addresses behind a cable of their own, where one origin writes down the POSTs that it takes."""

    def __init__(self, port: int, posts: Path) -> None:
        self.port = port
        self._posts = posts

    def drop(self, address: str) -> None:
        """From now on nothing that is sent to this address arrives, and nothing comes back."""
        run(f"ip netns exec {TASK} iptables --insert INPUT --destination {address} --jump DROP")

    def let_through(self, address: str) -> None:
        run(f"ip netns exec {TASK} iptables --delete INPUT --destination {address} --jump DROP")

    @property
    def posts(self) -> Counter[int]:
        return Counter(map(int, self._posts.read_text().split()))


@contextmanager
def _namespaces() -> Iterator[None]:
    """Two networks, the proxy's and the tasks', with a cable between them."""
    with ExitStack() as stack:
        for name in NAMESPACES:
            run(f"ip netns add {name}")
            stack.callback(run, f"ip netns delete {name}")
            run(f"ip -n {name} link set lo up")
        run(f"ip -n {PROXY} link add cable type veth peer name cable netns {TASK}")
        stack.callback(run, f"ip -n {PROXY} link delete cable")
        for name, addresses in ((PROXY, (GATEWAY,)), (TASK, TASKS)):
            for address in addresses:
                run(f"ip -n {name} address add {address}/24 dev cable")
            run(f"ip -n {name} link set cable up")
        run(f"ip netns exec {PROXY} sysctl -q -w {SYSCTL}")
        yield


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Tasks]:
    port = free_port()
    program = Path(__file__).parents[1] / "swarm" / "origin.py"
    with _namespaces(), inside(PROXY):
        command = ["ip", "netns", "exec", TASK, sys.executable, str(program), str(port)]
        origin = subprocess.Popen([*command, "--shared", str(tmp_path)])
        try:
            yield Tasks(port, tmp_path / "posts")
        finally:
            origin.terminate()
            origin.wait(timeout=40)


def asked(tasks: Tasks) -> dict[str, str]:
    return {"servicePath": "/web", "port": str(tasks.port), "outboundHostname": "web.test"}


@pytest.fixture
def web(tasks: Tasks, controller: Controller, tmp_path: Path) -> Controller:
    """A proxy with a service of three servers, whose name has three addresses."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} tasks.web.test\n" for address in TASKS))
    controller.wrapper = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$0" "$@"')
    controller.start(FLOWPROXY_DRAIN_TIMEOUT="1")
    assert controller.reconfigure("web", **asked(tasks)).status == 200
    eventually(lambda: controller.get("/web/hello").status == 200)
    assert len(controller.api("/v1/services/web").json["servers"][f"web-be{tasks.port}_0"]) == 3
    return controller


def measured(web: Controller, tasks: Tasks, dead: str) -> tuple[Stopwatch, float]:
    """Clients that ask before, while and long after a task dies; and when it died."""
    clients = Stopwatch("127.0.0.1", web.traffic, "/web")
    with clients.running():
        eventually(clients.has_asked(30, since=0))
        died = time.monotonic()
        tasks.drop(dead)
        eventually(clients.has_asked(100, since=died + 5), within=90)
    sys.stdout.write(f"{clients.summary(died)}\n")
    return clients, died


def up(web: Controller) -> set[str]:
    """The servers of whatever backend that get requests."""
    rows = [row.split(",") for row in web.ask("show stat").splitlines()]
    return {row[1] for row in rows if row[1:2] and row[1] in TASKS and row[17] == "UP"}


def test_a_black_hole_costs_requests_a_second_or_two_and_only_for_seconds(web: Controller, tasks: Tasks) -> None:
    clients, died = measured(web, tasks, TASKS[1])

    assert clients.failures(["GET", "GET, kept connection"]) == []
    # A POST that was sent on a connection that was kept may have arrived, and is not sent again.
    assert [post for post in clients.failures() if post.began > died + 1] == []
    assert clients.slow(3) == []
    assert clients.slow(0.5, since=died + 5) == []
    assert {number: times for number, times in tasks.posts.items() if times > 1} == {}, "a POST was sent twice"


def test_where_no_connection_is_kept_no_post_fails_that_no_task_received(web: Controller, tasks: Tasks) -> None:
    assert web.reconfigure("web", **asked(tasks), connectionMode="http-server-close").status == 200
    clients, _ = measured(web, tasks, TASKS[1])

    assert [post for post in clients.failures() if post.number not in tasks.posts] == []


def test_a_black_hole_stays_out_until_it_answers(web: Controller, tasks: Tasks) -> None:
    measured(web, tasks, TASKS[2])
    answered = Stopwatch("127.0.0.1", web.traffic, "/web")
    began = time.monotonic()
    with answered.running():
        eventually(answered.has_asked(200, since=began), within=20)
    assert answered.slow(0.5) == []
    assert up(web) == set(TASKS[:2])

    tasks.let_through(TASKS[2])
    eventually(lambda: up(web) == set(TASKS))
