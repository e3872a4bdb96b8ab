"""What clients notice when a node or a task of a Swarm of three managers dies."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from namespaces import inside, run
from stopwatch import Stopwatch
from support import eventually
from swarm.client import get
from swarm.cluster import SOCKET, SWITCH, Node, running_cluster
from swarm.testbed import Swarm

pytestmark = pytest.mark.soak

GETS = ("GET", "GET, kept connection")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all tasks write their POSTs to."""
    folder = tmp_path_factory.mktemp("shared")
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def nodes(swarm: Swarm, flowproxy_image: str, origin_image: str, shared: Path) -> Iterator[list[Node]]:
    """A proxy and a task of one service on each of three nodes; the test's thread is on their network."""
    file = swarm.folder / "images.tar"
    swarm.docker("save", "--output", str(file), flowproxy_image, origin_image, within=300)
    with running_cluster([file]) as nodes, inside(SWITCH):
        file.unlink()
        first = nodes[0].swarm
        first.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
        common = "--detach --no-resolve-image --network proxy --endpoint-mode dnsrr --mode global"
        ports = "--publish mode=host,published=80,target=80 --publish mode=host,published=8080,target=8080"
        socket = f"--mount type=bind,source={SOCKET},target=/var/run/docker.sock,readonly"
        sysctl = "--sysctl net.ipv4.tcp_retries2=1"  # as in compose.yml
        first.docker(
            "service",
            "create",
            *f"{common} --name proxy --user root {ports} {socket} {sysctl}".split(),
            flowproxy_image,
        )
        labels = "--label com.df.notify=true --label com.df.servicePath=/web --label com.df.port=8080"
        folder = f"--mount type=bind,source={shared},target=/shared"
        first.docker("service", "create", *f"{common} --name web {labels} {folder}".split(), origin_image)
        eventually(partial(all_serve, nodes), within=90)
        yield nodes


def servers(node: Node) -> int:
    answer = get(f"http://{node.address}:8080/v1/services/web")
    placed = json.loads(answer.text).get("servers", {})
    return len(placed.get("web-be8080_0", ()))


def all_serve(nodes: list[Node]) -> bool:
    assert [servers(node) for node in nodes] == [3, 3, 3]
    return all(get(f"http://{node.address}/web/hello").status == 200 for node in nodes for _ in range(6))


def measured(nodes: list[Node], shared: Path, act: Callable[[], None]) -> None:
    """Asks the two nodes that stay, before, while and after something dies, and holds what they saw to the promise."""
    (shared / "posts").unlink(missing_ok=True)
    clients = [Stopwatch(node.address, 80, "/web") for node in nodes[:2]]
    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(client.running())
            eventually(client.has_asked(50, since=0), within=30)
        died = time.monotonic()
        act()
        for client in clients:
            eventually(client.has_asked(200, since=died + 25), within=90)
    for client in clients:
        sys.stdout.write(f"{client.summary(died)}\n")
    written = Counter(map(int, (shared / "posts").read_text().split()))
    for client in clients:
        assert client.failures(GETS) == []
        assert client.slow(3, kinds=GETS) == []
        # Docker goes on passing packets to a node that was killed, for 10 to 15 s.
        first = min((asked.began for asked in client.slow(0.5, since=died)), default=died)
        assert client.slow(0.5, since=first + 5) == []
    assert max(written.values()) <= len(clients), "a POST was sent twice"  # both count from 1


def process_of_task(node: Node) -> int:
    [container] = node.swarm.api.containers(filters={"label": "com.docker.swarm.service.name=web"})
    return int(node.swarm.api.inspect_container(container["Id"])["State"]["Pid"])


def test_a_task_whose_packets_are_dropped(nodes: list[Node], shared: Path) -> None:
    network = f"nsenter --net=/proc/{process_of_task(nodes[2])}/ns/net iptables"

    def drop() -> None:
        for chain in ("INPUT", "OUTPUT"):
            run(f"{network} --insert {chain} --jump DROP")

    measured(nodes, shared, drop)
    for chain in ("INPUT", "OUTPUT"):
        run(f"{network} --delete {chain} --jump DROP")
    eventually(partial(all_serve, nodes), within=30)


def test_a_planned_stop_of_a_daemon(nodes: list[Node], shared: Path) -> None:
    measured(nodes, shared, nodes[2].ask_to_stop)
    nodes[2].stop()
    nodes[2].start()
    eventually(partial(all_serve, nodes), within=90)


def test_a_node_that_is_killed(nodes: list[Node], shared: Path) -> None:
    measured(nodes, shared, nodes[2].kill)
    eventually(lambda: [servers(node) for node in nodes[:2]] == [2, 2], within=60)
