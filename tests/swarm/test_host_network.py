"""The stack of docs/reliability.md that runs the proxy on the host's network, and its update under load: the next task
serves beside the one that leaves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stopwatch import Stopwatch
from support import eventually, free_port
from swarm.client import answers, require_free
from swarm.images import REPOSITORY
from swarm.testbed import Swarm

pytestmark = pytest.mark.soak

HOST, TRAFFIC = "127.0.0.1", 80


class Stack:
    """The proxy's stack, as a user deploys it again and again."""

    def __init__(self, swarm: Swarm, image: str, folder: Path) -> None:
        self._swarm = swarm
        self._image = image
        self._file = folder / "stack.yml"

    def deploy(self, api: int) -> None:
        [text] = re.findall(
            r"```yaml\n(services:\n  proxy:\n(?:(?!```).)*networks: \[host\].*?)```",
            (REPOSITORY / "docs" / "reliability.md").read_text(),
            re.DOTALL,
        )
        for given, ours in (
            ("PORT: 8081 ", f"PORT: {api} "),
            ("image: flowproxy:2", f"image: {self._image}"),
            ("source: /var/run/docker.sock", f"source: {self._swarm.socket}"),
        ):
            assert text.count(given) == 1, given
            text = text.replace(given, ours)
        self._file.write_text(f'version: "3.7"\n{text}')
        self._swarm.docker("stack", "deploy", "--resolve-image", "never", "--compose-file", str(self._file), "proxy")

    def container(self) -> str:
        """Return the one that runs, after the one before it has ended."""
        [container] = self._swarm.api.containers(filters={"label": "com.docker.swarm.service.name=proxy_proxy"})
        [task] = self._swarm.containers("proxy_proxy", within=0)
        assert container["Id"] == task
        return task


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.fixture
def stack(clear_swarm: Swarm, flowproxy_image: str, origin_image: str, shared: Path) -> Iterator[Stack]:
    """The proxy on the host's network, and a service there that it routes to."""
    require_free(TRAFFIC, 443)
    origin = free_port()
    labels = f"notify=true servicePath=/web port={origin} outboundHostname={HOST}"
    options = " ".join(f"--label com.df.{label}" for label in labels.split())
    folder = f"--mount type=bind,source={shared},target=/shared"
    create = f"service create --detach --no-resolve-image --network host --name web {options} {folder}"
    clear_swarm.docker(*create.split(), origin_image, str(origin))
    yield Stack(clear_swarm, flowproxy_image, shared)
    clear_swarm.clear()


def test_an_update_loses_no_request(stack: Stack) -> None:
    stack.deploy(api=free_port())
    eventually(answers(f"http://{HOST}:{TRAFFIC}/web/hello"), within=60)
    last = eventually(stack.container, within=30)
    clients = Stopwatch(HOST, TRAFFIC, "/web")
    with clients.running():
        for _ in range(3):
            eventually(clients.has_asked(50, since=0), within=30)
            stack.deploy(api=free_port())

            def replaced(last: str = last) -> str:
                now = stack.container()
                assert now != last
                return now

            last = eventually(replaced, within=120)
        eventually(clients.has_asked(50, since=clients.asked[-1].began), within=30)

    sys.stdout.write(f"{clients.summary(since=0)}\n")
    assert clients.failures() == []
