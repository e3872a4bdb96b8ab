"""The stack that docs/security.md recommends, as it stands there, with a proxy of ours before the Docker socket."""

import re
from collections.abc import Mapping

import pytest
from support import eventually
from swarm.client import answers, get, refused, require_free
from swarm.images import REPOSITORY
from swarm.testbed import Swarm

TOKEN = "correct horse battery staple"  # noqa: S105


def recommended(replaced: Mapping[str, str]) -> str:
    """The file, with other words in place of some of its own."""
    found = re.search(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "security.md").read_text(), re.DOTALL)
    assert found
    text = found[1]
    for word, other in replaced.items():
        assert word in text
        text = text.replace(word, other)
    return text


@pytest.fixture(scope="module")
def stack(
    clear_swarm: Swarm,
    flowproxy_image: str,
    filter_image: str,
    origin_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Swarm:
    require_free(80, 443)
    swarm = clear_swarm
    file = tmp_path_factory.mktemp("hardened") / "compose.yml"
    ours = {
        "source: /var/run/docker.sock": f"source: {swarm.socket}",
        "tecnativa/docker-socket-proxy": filter_image,
        "flowproxy:latest": flowproxy_image,
    }
    file.write_text(recommended(ours))
    secret = tmp_path_factory.mktemp("secret") / "token"
    secret.write_text(TOKEN)
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
    swarm.docker("secret", "create", "flowproxy_api_token", str(secret))
    swarm.docker("stack", "deploy", "--resolve-image", "never", "--compose-file", str(file), "proxy")
    labels = "--label com.df.notify=true --label com.df.servicePath=/demo --label com.df.port=8080"
    options = f"--detach --no-resolve-image --network proxy --name demo --replicas 2 {labels}"
    swarm.docker("service", "create", *options.split(), origin_image)
    swarm.containers("proxy_proxy")
    return swarm


def test_a_label_becomes_a_route(stack: Swarm) -> None:
    eventually(answers("http://127.0.0.1/demo/hello"), within=30)


def test_both_tasks_answer(stack: Swarm) -> None:
    tasks = {container[:12] for container in stack.containers("demo", count=2)}
    eventually(lambda: {get("http://127.0.0.1/demo/hello").text.split()[-1] for _ in range(4)} == tasks, within=20)


def test_nothing_in_it_runs_as_root(stack: Swarm) -> None:
    [container] = stack.containers("proxy_proxy")
    rows = stack.api.top(container, ps_args="-ww -eo pid,uid,args")["Processes"]
    assert any("haproxy -" in row[2] for row in rows)
    assert {row[1] for row in rows} == {"10001"}


def test_the_api_is_not_published_and_wants_the_token(stack: Swarm) -> None:
    [container] = stack.containers("proxy_proxy")
    assert refused(8080)
    assert ask(stack, container, "") == "401"
    assert ask(stack, container, TOKEN) == "200"


def ask(swarm: Swarm, container: str, token: str) -> str:
    """The status of a call that shows the configuration, from within the container."""
    call = f"""
import urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:8080/v1/config", headers={{"Authorization": "Bearer {token}"}})
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    return swarm.docker("exec", container, "python3", "-c", call).strip()
