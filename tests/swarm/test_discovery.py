"""Which servers a service has: its tasks, or its virtual IP; and clients that stay with their task."""

import json
from typing import Any

import pytest
from support import eventually
from swarm.client import answers, get, require_free
from swarm.testbed import Swarm

STATUS = "http://127.0.0.1:8080/v1/status"


@pytest.fixture(scope="module")
def proxied(clear_swarm: Swarm, flowproxy_image: str) -> Swarm:
    require_free(80, 8080)
    swarm = clear_swarm
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
    ports = "--publish mode=host,published=80,target=80 --publish mode=host,published=8080,target=8080"
    socket = f"--mount type=bind,source={swarm.socket},target=/var/run/docker.sock,readonly"
    options = (
        f"--detach --no-resolve-image --name proxy --network proxy --endpoint-mode dnsrr --user root {ports} {socket}"
    )
    swarm.docker("service", "create", *options.split(), flowproxy_image)
    eventually(answers(STATUS, text='"ready": true'), within=40)
    return swarm


def create(
    swarm: Swarm, name: str, image: str, mode: str, *options: str, network: str = "proxy", **parameters: str
) -> None:
    given = {"notify": "true", "port": "8080", "servicePath": f"/{name}", **parameters}
    labels = [f"--label=com.df.{key}={value}" for key, value in given.items()]
    common = f"--detach --no-resolve-image --name {name} --network {network} --endpoint-mode {mode}"
    swarm.docker("service", "create", *common.split(), *options, *labels, image)


def addresses(name: str) -> set[str]:
    """Of the servers that HAProxy has for a service."""
    found: Any = json.loads(get(f"http://127.0.0.1:8080/v1/services/{name}").text)
    return {server.split()[1].rpartition(":")[0] for servers in found["servers"].values() for server in servers}


def test_the_virtual_ip_is_the_only_server_where_a_label_asks_for_it(proxied: Swarm, origin_image: str) -> None:
    """The tasks, unless the virtual IP is asked for."""
    create(proxied, "virtual", origin_image, "vip", "--replicas=2", discoveryType="vip")
    create(proxied, "single", origin_image, "vip", "--replicas=2")
    proxied.containers("virtual", count=2)
    proxied.containers("single", count=2)
    endpoint = proxied.api.inspect_service("virtual")["Endpoint"]
    virtual = {item["Addr"].partition("/")[0] for item in endpoint["VirtualIPs"]}

    assert eventually(lambda: addresses("virtual") == virtual, within=20)
    assert eventually(lambda: len(addresses("single")) == 2, within=20)


def test_a_client_stays_with_its_task_whatever_happens_to_others(proxied: Swarm, origin_image: str) -> None:
    create(proxied, "sticky", origin_image, "dnsrr", "--replicas=3", sessionType="sticky-server")
    proxied.containers("sticky", count=3)
    eventually(lambda: len(addresses("sticky")) == 3, within=20)
    first = eventually(answers("http://127.0.0.1/sticky/hello"), within=20)
    cookie = first.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("sticky=")

    def with_its_task() -> bool:
        return {get("http://127.0.0.1/sticky/hello", {"Cookie": cookie}).text for _ in range(12)} == {first.text}

    assert with_its_task()
    proxied.docker("service", "scale", "--detach", "sticky=5")
    eventually(lambda: len(addresses("sticky")) == 5, within=40)
    assert with_its_task()
    assert get("http://127.0.0.1:8080/v1/reload").status == 200
    assert with_its_task()
    others = {get("http://127.0.0.1/sticky/hello").text for _ in range(40)}
    assert len(others) == 5


def test_a_service_that_cannot_be_reached_is_told_which_network_to_add(proxied: Swarm, origin_image: str) -> None:
    proxied.docker("network", "create", "--driver", "overlay", "apart")
    create(proxied, "lonely", origin_image, "dnsrr", network="apart")
    proxied.containers("lonely")

    def explained() -> str:
        return str(json.loads(get("http://127.0.0.1:8080/v1/explain?url=http://any.org/lonely").text)["reason"])

    remark = "it is on no network of the proxy; add proxy to it"
    eventually(lambda: explained().endswith(f"service lonely has no server: {remark}"), within=20)
    assert json.loads(get("http://127.0.0.1:8080/v1/services/lonely").text)["warnings"] == [remark]
    assert get("http://127.0.0.1/lonely/hello").status == 503
    proxied.docker("service", "update", "--detach", "--network-add", "proxy", "lonely")
    eventually(answers("http://127.0.0.1/lonely/hello"), within=40)
    assert eventually(lambda: "no server" not in explained(), within=5)
    assert json.loads(get("http://127.0.0.1:8080/v1/services/lonely").text)["warnings"] == []
