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


def measured(rest: list[Node], shared: Path, act: Callable[[], None]) -> tuple[list[Stopwatch], float]:
    """Ask the nodes that stay, before, while and after something dies; return what they saw, and when it died."""
    (shared / "posts").unlink(missing_ok=True)
    clients = [Stopwatch(node.address, 80, "/web", first=1 + index * 10**6) for index, node in enumerate(rest)]
    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(client.running())
            eventually(client.has_asked(50, since=0), within=30)
        died = time.monotonic()
        act()
        for client in clients:
            eventually(client.has_asked(200, since=died + 25), within=90)
    written = Counter(map(int, (shared / "posts").read_text().split()))
    for client in clients:
        sys.stdout.write(f"{client.summary(died)}\n")
        assert client.failures(GETS) == []
        # 3 s, and what the second request takes: one that was acknowledged waits for two probes.
        assert client.slow(3.5, kinds=GETS) == []
        # A POST on a connection that was kept may be lost in the moment in which packets begin to vanish, which is
        # 7 s after a death at the latest. HAProxy cannot know that it was lost.
        assert [post for post in client.failures() if post.began > died + 10] == []
    assert max(written.values()) == 1, "a POST was sent twice"
    return clients, died


def leader_and_others(nodes: list[Node]) -> tuple[Node, list[Node]]:
    listed = nodes[0].swarm.api.nodes()
    [address] = [item["ManagerStatus"]["Addr"] for item in listed if item["ManagerStatus"].get("Leader")]
    [leader] = [node for node in nodes if node.address == address.partition(":")[0]]
    return leader, [node for node in nodes if node is not leader]


def revive(node: Node, nodes: list[Node]) -> None:
    """Start the daemon of a node again, and wait until all is as it was."""
    node.stop()
    node.start()
    eventually(partial(all_serve, nodes), within=120)


def replug(node: Node, nodes: list[Node]) -> None:
    node.replug()
    eventually(partial(all_serve, nodes), within=120)


def process_of_task(node: Node) -> int:
    [container] = node.swarm.api.containers(filters={"label": "com.docker.swarm.service.name=web"})
    return int(node.swarm.api.inspect_container(container["Id"])["State"]["Pid"])


def test_a_task_whose_packets_are_dropped(nodes: list[Node], shared: Path) -> None:
    network = f"nsenter --net=/proc/{process_of_task(nodes[2])}/ns/net iptables"

    def drop() -> None:
        for chain in ("INPUT", "OUTPUT"):
            run(f"{network} --insert {chain} --jump DROP")

    def let_through() -> None:
        for chain in ("INPUT", "OUTPUT"):
            run(f"{network} --delete {chain} --jump DROP")
        eventually(partial(all_serve, nodes), within=30)

    with ExitStack() as afterwards:
        afterwards.callback(let_through)
        clients, died = measured(nodes[:2], shared, drop)
        for client in clients:
            assert client.slow(0.5, since=died + 5) == []


def test_a_node_whose_cable_is_pulled(nodes: list[Node], shared: Path) -> None:
    """To the others a node that has lost its power looks the same."""
    _, others = leader_and_others(nodes)
    rest = [node for node in nodes if node is not others[-1]]
    with ExitStack() as afterwards:
        afterwards.callback(replug, others[-1], nodes)
        clients, died = measured(rest, shared, others[-1].unplug)
        for client in clients:
            assert client.slow(0.5, since=died + 5) == []


def test_a_planned_stop_of_a_daemon(nodes: list[Node], shared: Path) -> None:
    with ExitStack() as afterwards:
        afterwards.callback(revive, nodes[2], nodes)
        clients, died = measured(nodes[:2], shared, nodes[2].ask_to_stop)
        for client in clients:
            assert client.slow(0.5, since=died + 5) == []


def test_daemons_that_are_killed(nodes: list[Node], shared: Path) -> None:
    """The managers miss the killed one before Docker forgets the way to its containers, so that nothing is lost."""
    _, others = leader_and_others(nodes)
    rest = [node for node in nodes if node is not others[-1]]
    with ExitStack() as afterwards:
        afterwards.callback(revive, others[-1], nodes)
        clients, _ = measured(rest, shared, others[-1].kill)
        for client in clients:
            assert client.failures() == []
            assert client.slow(0.5) == []


def test_daemons_of_the_leader_that_are_killed(nodes: list[Node], shared: Path) -> None:
    """Nobody knows of the death before another leader is elected, 10 s later; until then checks must do."""
    leader, rest = leader_and_others(nodes)
    clients, died = measured(rest, shared, leader.kill)
    for client in clients:
        # Docker forgets the way to the containers 5 to 7 s after the death.
        first = min((asked.began for asked in client.slow(0.5, since=died)), default=died)
        assert client.slow(0.5, since=first + 5) == []
    eventually(lambda: [servers(node) for node in rest] == [2, 2], within=60)
