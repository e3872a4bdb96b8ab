"""Three replicas of the proxy: a call for all of them reaches all, and a new one takes over certificates."""

import functools
import json
from typing import Any

import pytest
from certificates import make_certificate
from support import eventually
from swarm.testbed import Swarm

ASK = """
import http.client, sys
method, path, body = sys.argv[1:4]
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
connection.request(method, path, body=body)
answer = connection.getresponse()
print(answer.status)
print(answer.read().decode())
"""


@pytest.fixture(scope="module")
def replicas(clear_swarm: Swarm, flowproxy_image: str) -> Swarm:
    swarm = clear_swarm
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
    socket = f"--mount type=bind,source={swarm.socket},target=/var/run/docker.sock,readonly"
    options = f"--detach --no-resolve-image --name proxy --network proxy --endpoint-mode dnsrr --user root {socket}"
    swarm.docker("service", "create", *options.split(), "--replicas", "3", flowproxy_image)
    for container in swarm.containers("proxy", count=3):
        eventually(functools.partial(is_ready, swarm, container), within=40)
    return swarm


def ask(swarm: Swarm, container: str, path: str, method: str = "GET", body: str = "") -> tuple[int, Any]:
    """Status and answer of a call to the API of one replica."""
    said = swarm.docker("exec", container, "python3", "-c", ASK, method, path, body)
    status, _, text = said.partition("\n")
    return int(status), json.loads(text)


def is_ready(swarm: Swarm, container: str) -> bool:
    return bool(ask(swarm, container, "/v1/status")[1]["ready"])


def test_a_call_for_all_reaches_all(replicas: Swarm) -> None:
    first, *others = replicas.containers("proxy", count=3)
    call = "/v1/docker-flow-proxy/reconfigure?serviceName=web&servicePath=/web&port=80&outboundHostname=127.0.0.1"
    status, answer = ask(replicas, first, f"{call}&distribute=true")

    assert (status, answer["Status"]) == (200, "OK")
    for container in (first, *others):
        assert ask(replicas, container, "/v1/services/web")[0] == 200


def test_a_certificate_for_all_is_everywhere_and_a_new_replica_takes_it_over(replicas: Swarm) -> None:
    first, *_ = replicas.containers("proxy", count=3)
    pem, _ = make_certificate("a.org")
    path = "/v1/docker-flow-proxy/cert?certName=a.org.pem&distribute=true"
    assert ask(replicas, first, path, "PUT", pem)[0] == 200
    replicas.docker("service", "scale", "--detach", "proxy=4")

    def certificates() -> list[list[str]]:
        found = []
        for container in replicas.containers("proxy", count=4):
            listed = ask(replicas, container, "/v1/docker-flow-proxy/certs")[1]["Certs"]
            found.append([item["ProxyServiceName"] for item in listed])
        return found

    eventually(lambda: certificates() == [["a.org.pem"]] * 4, within=40)


def test_the_statistics_of_all_come_together(replicas: Swarm) -> None:
    first, *_ = replicas.containers("proxy", count=4)
    script = ASK.replace("print(answer.status)", "")
    text = replicas.docker("exec", first, "python3", "-c", script, "GET", "/v1/metrics?distribute=true", "")

    assert text.count("\nservices,FRONTEND,") == 4
