"""Three replicas of the proxy: a call for all of them reaches all, and a new one takes over certificates.

And the companions of old, which call one replica and mean all: the listener, and the one that fetches certificates.
"""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificate
from support import eventually
from swarm.testbed import Swarm

TOKEN = "correct horse battery staple"  # noqa: S105
KEY = "a-key-that-all-replicas-have"
ASK = f"""
import http.client, ssl, sys
method, path, body = sys.argv[1:4]
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
if sys.argv[4:]:
    connection = http.client.HTTPSConnection("127.0.0.1", 8080, timeout=60, context=ssl._create_unverified_context())
connection.request(method, path, body=body, headers={{"Authorization": "Bearer {TOKEN}"}})
answer = connection.getresponse()
print(answer.status)
print(answer.read().decode())
"""


COMPARED_OFTEN = "FLOWPROXY_RESYNC_INTERVAL=5"


@pytest.fixture(scope="module")
def replicas(clear_swarm: Swarm, flowproxy_image: str) -> Swarm:
    swarm = clear_swarm
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", "proxy")
    socket = f"--mount type=bind,source={swarm.socket},target=/var/run/docker.sock,readonly"
    options = f"--detach --no-resolve-image --name proxy --network proxy --endpoint-mode dnsrr --user root {socket}"
    key = f"FLOWPROXY_KEY={KEY}"
    swarm.docker(
        "service", "create", *options.split(), "--env", key, "--env", COMPARED_OFTEN, "--replicas", "3", flowproxy_image
    )
    for container in swarm.containers("proxy", count=3):
        eventually(functools.partial(is_ready, swarm, container), within=40)
    return swarm


THROUGH_THE_PROXY = ASK.replace("8080", "80").replace('"Authorization"', '"Flowproxy-Created": "1", "Authorization"')


def ask(
    swarm: Swarm, container: str, path: str, method: str = "GET", body: str = "", script: str = ASK
) -> tuple[int, Any]:
    """Status and answer of a call to the API of one replica."""
    said = swarm.docker("exec", container, "python3", "-c", script, method, path, body)
    status, _, text = said.partition("\n")
    return int(status), json.loads(text)


def is_ready(swarm: Swarm, container: str) -> bool:
    return bool(ask(swarm, container, "/v1/status")[1]["ready"])


def is_known(swarm: Swarm, container: str, service: str) -> bool:
    return ask(swarm, container, f"/v1/services/{service}")[0] == 200


def test_a_call_for_all_reaches_all(replicas: Swarm) -> None:
    first, *others = replicas.containers("proxy", count=3)
    call = "/v1/docker-flow-proxy/reconfigure?serviceName=web&servicePath=/web&port=80&outboundHostname=127.0.0.1"
    status, answer = ask(replicas, first, f"{call}&distribute=true")

    assert (status, answer["Status"]) == (200, "OK")
    found = [ask(replicas, container, "/v1/services/web") for container in (first, *others)]
    assert [status for status, _ in found] == [200] * 3
    assert len({service["created"] for _, service in found}) == 1  # all agree on the older service


def test_who_calls_through_a_route_to_the_api_is_no_replica(replicas: Swarm) -> None:
    first, *others = replicas.containers("proxy", count=3)
    route = "serviceName=api&servicePath=/v1&port=8080&outboundHostname=tasks.proxy"
    assert ask(replicas, first, f"/v1/reconfigure?{route}")[0] == 200
    for number in range(4):
        call = f"/v1/reconfigure?serviceName=n{number}&servicePath=/web&port=80&outboundHostname=127.0.0.1"
        assert ask(replicas, first, call, script=THROUGH_THE_PROXY)[0] == 200
        answers = [ask(replicas, container, f"/v1/services/n{number}") for container in (first, *others)]
        created = [answer["created"] for status, answer in answers if status == 200]
        assert created
        assert min(created) > 1_600_000_000
    assert ask(replicas, first, "/v1/remove?serviceName=api")[0] == 200


# The listener sends its labels with sorted names, always for all replicas, and reads no answer.
LEAVE = """
import socket, sys
with socket.create_connection(("127.0.0.1", 8080)) as connection:
    connection.sendall(f"GET {sys.argv[1]} HTTP/1.1\\r\\nHost: proxy\\r\\n\\r\\n".encode())
    connection.shutdown(socket.SHUT_WR)
"""


def test_the_listener_of_old_may_go_on_calling(replicas: Swarm) -> None:
    first, *others = replicas.containers("proxy", count=3)
    labels = "alertName.1=memlimit&distribute=true&outboundHostname=127.0.0.1&port=80&replicas=2&serviceName=heard"
    create = f"/v1/docker-flow-proxy/reconfigure?{labels}&servicePath=%2Fheard"
    assert ask(replicas, first, create)[0] == 200
    assert ask(replicas, first, f"/v1/docker-flow-proxy/reconfigure?{labels}")[0] == 409  # success to it, if unrouted
    replicas.docker("exec", first, "python3", "-c", LEAVE, create.replace("heard", "unread"))

    for container in (first, *others):
        eventually(functools.partial(is_known, replicas, container, "unread"))
    remove = f"/v1/docker-flow-proxy/remove?{labels}&servicePath=%2Fheard"
    assert ask(replicas, first, remove)[0] == 200
    assert [ask(replicas, container, "/v1/services/heard")[0] for container in (first, *others)] == [404] * 3


def test_the_companion_for_certificates_may_go_on_calling(replicas: Swarm) -> None:
    first, *others = replicas.containers("proxy", count=3)
    pem, _ = make_certificate("le.org")
    put = "/v1/docker-flow-proxy/cert?certName=le.org.pem&distribute=true"
    assert ask(replicas, first, put, "PUT", pem)[0] == 200

    # It joins what it was sent without encoding it again.
    values = "letsencrypt.host=le.org&letsencrypt.email=a@le.org&serviceDomain=le.org&reqPathSearchReplace=/a/,/b+c/"
    call = f"serviceName=le&outboundHostname=127.0.0.1&port=80&{values}&distribute=true&replicas=1"
    assert ask(replicas, first, f"/v1/docker-flow-proxy/reconfigure?{call}")[0] == 200

    for container in (first, *others):
        text = replicas.docker("exec", container, "cat", "/cfg/haproxy.cfg")
        assert "ssl crt-list /cfg/crt-list.txt" in text
        assert "backend le-be80_0" in text
    assert ask(replicas, first, "/v1/docker-flow-swarm-listener/notify-services") == (200, {"Status": "OK"})


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

    eventually(lambda: certificates() == [["a.org.pem", "le.org.pem"]] * 4, within=40)
    for container in replicas.containers("proxy", count=4):
        assert "PRIVATE KEY" in replicas.docker("exec", container, "cat", "/certs/a.org.pem")
    status, answer = ask(replicas, first, "/v1/docker-flow-proxy/certs/send", "POST")
    assert (status, "only replicas" in answer["Message"]) == (403, True)


def test_a_service_that_one_replica_was_asked_for_is_known_to_all_and_to_a_new_one(replicas: Swarm) -> None:
    """Neither the call nor the start of the new one says anything to the others."""
    first, *others = replicas.containers("proxy", count=4)
    call = "/v1/docker-flow-proxy/reconfigure?serviceName=alone&servicePath=/alone&port=80&outboundHostname=127.0.0.1"
    assert ask(replicas, first, call)[0] == 200
    for container in others:
        eventually(functools.partial(is_known, replicas, container, "alone"))
    replicas.docker("rm", "--force", others[0])  # Swarm starts another task in its place, with an empty volume

    def all_agree() -> bool:
        containers = replicas.containers("proxy", count=4)
        said = [ask(replicas, container, "/v1/status")[1]["replicas"] for container in containers]
        assert [(status["others"], status["differing"]) for status in said] == [(3, {})] * 4
        return others[0] not in containers and all(is_known(replicas, c, "alone") for c in containers)

    eventually(all_agree, within=60)


def test_without_a_key_certificates_reach_a_new_replica_all_the_same(replicas: Swarm) -> None:
    """It is known by its address; and status advises a key."""
    socket = f"--mount type=bind,source={replicas.socket},target=/var/run/docker.sock,readonly"
    options = f"--detach --no-resolve-image --name keyless --network proxy --endpoint-mode dnsrr --user root {socket}"
    image = replicas.api.inspect_service("proxy")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    replicas.docker("service", "create", *options.split(), "--env", "SERVICE_NAME=keyless", "--replicas", "1", image)
    (first,) = replicas.containers("keyless", count=1)
    eventually(functools.partial(is_ready, replicas, first), within=40)
    pem, _ = make_certificate("k.org")
    assert ask(replicas, first, "/v1/docker-flow-proxy/cert?certName=k.org.pem", "PUT", pem)[0] == 200
    replicas.docker("service", "scale", "--detach", "keyless=2")

    def taken_over() -> bool:
        for container in replicas.containers("keyless", count=2):
            assert "PRIVATE KEY" in replicas.docker("exec", container, "cat", "/certs/k.org.pem")
        return True

    eventually(taken_over, within=40)
    route = "serviceName=api&servicePath=/&port=8080&outboundHostname=tasks.keyless"
    assert ask(replicas, first, f"/v1/reconfigure?{route}")[0] == 200
    for _ in range(4):  # to both of them
        status, answer = ask(replicas, first, "/v1/docker-flow-proxy/certs/send", "POST", script=THROUGH_THE_PROXY)
        assert (status, "only replicas" in answer["Message"]) == (403, True)
    warnings = ask(replicas, first, "/v1/status")[1]["warnings"]
    assert any("FLOWPROXY_KEY" in warning for warning in warnings)
    replicas.docker("service", "rm", "keyless")


def test_the_statistics_of_all_come_together(replicas: Swarm) -> None:
    first, *_ = replicas.containers("proxy", count=4)
    script = ASK.replace("print(answer.status)", "")
    text = replicas.docker("exec", first, "python3", "-c", script, "GET", "/v1/metrics?distribute=true", "")

    assert text.count("\nservices,FRONTEND,") == 4


def test_replicas_with_a_token_and_tls_between_them(replicas: Swarm, tmp_path: Path) -> None:
    """A certificate put by API reaches the other one and a new one, with its key, which no other client receives."""
    api, _ = make_certificate("proxy")
    for name, content in (("api.pem", api), ("flowproxy_api_token", TOKEN)):
        (tmp_path / name).write_text(content)
        replicas.docker("secret", "create", name, str(tmp_path / name))
    socket = f"--mount type=bind,source={replicas.socket},target=/var/run/docker.sock,readonly"
    options = f"--detach --no-resolve-image --name guarded --network proxy --endpoint-mode dnsrr --user root {socket}"
    secrets = "--secret api.pem --secret flowproxy_api_token --env FLOWPROXY_API_CERT=/run/secrets/api.pem"
    image = replicas.api.inspect_service("proxy")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    command = f"{options} {secrets} --env SERVICE_NAME=guarded --replicas 2".split()
    replicas.docker("service", "create", *command, image)

    def call(container: str, path: str, method: str = "GET", body: str = "") -> tuple[int, Any]:
        said = replicas.docker("exec", container, "python3", "-c", ASK, method, path, body, "tls")
        status, _, text = said.partition("\n")
        return int(status), json.loads(text)

    first, _ = replicas.containers("guarded", count=2)
    eventually(lambda: call(first, "/v1/status")[1]["ready"], within=40)
    pem, _ = make_certificate("b.org")
    path = "/v1/docker-flow-proxy/cert?certName=b.org.pem&distribute=true"
    eventually(lambda: call(first, path, "PUT", pem)[0] == 200, within=20)
    replicas.docker("service", "scale", "--detach", "guarded=3")

    def served() -> bool:
        for container in replicas.containers("guarded", count=3):
            (listed,) = call(container, "/v1/docker-flow-proxy/certs")[1]["Certs"]
            assert listed["ProxyServiceName"] == "b.org.pem"
            assert "BEGIN CERTIFICATE" in listed["CertContent"]
            assert "PRIVATE KEY" not in listed["CertContent"]
            assert "PRIVATE KEY" in replicas.docker("exec", container, "cat", "/certs/b.org.pem")
        return True

    eventually(served, within=40)
