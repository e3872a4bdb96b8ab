"""The stack that users deploy, as it is in the repository."""

import pytest
from support import eventually
from swarm.client import answers, refused, require_free
from swarm.images import REPOSITORY
from swarm.testbed import Swarm

ASK_THE_API = """
import urllib.request
print(urllib.request.urlopen("http://tasks.proxy_proxy:8080/v1/docker-flow-proxy/ping", timeout=5).status)
"""


@pytest.fixture(scope="module")
def stack(clear_swarm: Swarm, flowproxy_image: str) -> Swarm:
    require_free(80, 443)
    swarm = clear_swarm
    variables = {"FLOWPROXY_IMAGE": flowproxy_image, "DOCKER_SOCKET": str(swarm.socket)}
    compose = str(REPOSITORY / "compose.yml")
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
    swarm.docker(*("stack", "deploy", "--resolve-image", "never", "--compose-file", compose, "proxy"), env=variables)
    swarm.containers("proxy_proxy")
    swarm.containers("proxy_demo", count=2)
    return swarm


def test_the_demo_is_answered(stack: Swarm) -> None:
    eventually(answers("http://127.0.0.1/demo/hello"), within=30)


def test_the_api_is_not_published(stack: Swarm) -> None:
    assert refused(8080)


def test_the_api_is_reachable_on_the_network(stack: Swarm) -> None:
    container = stack.containers("proxy_demo", count=2)[0]

    assert stack.docker("exec", container, "python3", "-c", ASK_THE_API).strip() == "200"


def test_the_proxy_is_updated_in_place(stack: Swarm) -> None:
    """A new task takes over the volume of the old one, with its files and its stale sockets and numbers."""
    [before] = stack.containers("proxy_proxy")
    stack.docker("service", "update", "--detach", "--force", "proxy_proxy")

    def replaced() -> bool:
        [after] = stack.containers("proxy_proxy")
        assert after != before
        return True

    eventually(replaced, within=90)
    eventually(answers("http://127.0.0.1/demo/hello"), within=30)
