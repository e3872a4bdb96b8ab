"""The stack of docs/reliability.md that runs the proxy on the host's network, and its update under load: the next task
serves beside the one that leaves. The host is one with a network of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import inside
from stopwatch import Stopwatch
from support import eventually
from swarm.client import answers
from swarm.cluster import SOCKET, SWITCH, Node, running_cluster
from swarm.images import REPOSITORY
from swarm.testbed import Swarm

pytestmark = pytest.mark.soak

_UPDATES = 3
_ORIGIN = 9000


class Stack:
    """The proxy's stack, as a user deploys it again and again."""

    def __init__(self, node: Node, image: str, file: Path) -> None:
        self._swarm = node.swarm
        self._image = image
        self._file = file

    def deploy(self, api: int) -> None:
        [text] = re.findall(
            r"```yaml\n(services:\n  proxy:\n(?:(?!```).)*networks: \[host\].*?)```",
            (REPOSITORY / "docs" / "reliability.md").read_text(),
            re.DOTALL,
        )
        for given, ours in (
            ("PORT: 8081 ", f"PORT: {api} "),
            ("image: flowproxy:2", f"image: {self._image}"),
            ("source: /var/run/docker.sock", f"source: {SOCKET}"),
        ):
            assert text.count(given) == 1, given
            text = text.replace(given, ours)
        self._file.write_text(f'version: "3.7"\n{text}')
        self._swarm.docker("stack", "deploy", "--resolve-image", "never", "--compose-file", str(self._file), "proxy")

    def container(self) -> str:
        """Return the one that runs, when it is alone and healthy."""
        running = self._swarm.api.containers(filters={"label": "com.docker.swarm.service.name=proxy_proxy"})
        assert [item["Status"].rpartition(" ")[2] for item in running] == ["(healthy)"], running
        return str(running[0]["Id"])


@pytest.fixture
def node(swarm: Swarm, flowproxy_image: str, origin_image: str) -> Iterator[Node]:
    """A host of its own, which answers this test's thread."""
    file = swarm.folder / "images-of-host.tar"
    swarm.docker("save", "--output", str(file), flowproxy_image, origin_image, within=300)
    with running_cluster([file], count=1) as [node], inside(SWITCH):
        file.unlink()
        yield node


def test_an_update_loses_no_request(node: Node, flowproxy_image: str, origin_image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    labels = f"notify=true servicePath=/web port={_ORIGIN} outboundHostname=127.0.0.1"
    options = " ".join(f"--label com.df.{label}" for label in labels.split())
    folder = f"--mount type=bind,source={tmp_path},target=/shared"
    create = f"service create --detach --no-resolve-image --network host --name web {options} {folder}"
    node.swarm.docker(*create.split(), origin_image, str(_ORIGIN))
    stack = Stack(node, flowproxy_image, tmp_path / "stack.yml")
    stack.deploy(api=8081)
    eventually(answers(f"http://{node.address}/web/hello"), within=90)
    last = eventually(stack.container, within=60)
    clients = Stopwatch(node.address, 80, "/web")
    with clients.running():
        eventually(clients.has_asked(50, since=0), within=60)
        for update in range(1, _UPDATES + 1):
            stack.deploy(api=8081 + update % 2)

            def replaced(last: str = last) -> str:
                now = stack.container()
                assert now != last
                return now

            last = eventually(replaced, within=150)
        eventually(clients.has_asked(50, since=clients.asked[-1].began), within=60)

    sys.stdout.write(f"{clients.summary(since=0)}\n")
    assert clients.failures() == []
