"""What a service writes as a domain leads no request of another service to it, through a real HAProxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest
from controller import Controller, Origin, origins
from daemon import daemons
from hostile import DOMAINS
from hypothesis import HealthCheck, example, given, settings
from support import eventually, rounds

HOST, OUT = "first.org", {"outboundHostname": "127.0.0.1"}
SNI = "req.ssl_sni -m reg"


class Attacked(NamedTuple):
    controller: Controller
    victim: Origin
    evil: Origin


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    controller = Controller(tmp_path_factory.mktemp("domains") / "state")
    with origins() as start:
        try:
            controller.start(FLOWPROXY_SERVICE_CONNECTIONS="60", FLOWPROXY_TIDY_AFTER="3600")
            victim, evil = start("victim"), start("evil")
            assert _put(controller, "victim", serviceDomain=HOST, servicePath="/", port=str(victim.port)) == 200
            yield Attacked(controller, victim, evil)
        finally:
            controller.end()


def test_a_domain_writes_no_line_of_a_map(attacked: Attacked) -> None:
    controller, port = attacked.controller, str(attacked.evil.port)
    backend = f"evil-be{port}_"
    forged = {"serviceDomain.1": f"q/ {backend}2", "servicePath.1": "/", "servicePathExclude.1": "/zzz", "port.1": port}
    forging = {"serviceDomain.2": f"{HOST}/lo ?q", "servicePath.2": "/", "port.2": port}

    assert _put(controller, "evil", **forged, **forging, serviceDomainAlgo=SNI) == 400
    assert _put(controller, "evil", serviceDomain=f"{HOST}/login", port=port, serviceDomainAlgo=SNI) == 400
    assert controller.get("/login", HOST).text.startswith("victim ")
    assert " ?q" not in (controller.folder / "maps" / "exact.map").read_text()


@pytest.mark.longer
@settings(max_examples=rounds(15, soak=150), deadline=None, suppress_health_check=list(HealthCheck))
@given(DOMAINS)
@example({"serviceDomain": "evil.org", "redirectFromDomain": "*first.org"})
@example({"serviceDomain": "*", "serviceDomainAlgo": "hdr_reg(host)"})
def test_no_domain_takes_a_host_of_another_service(attacked: Attacked, parameters: dict[str, str]) -> None:
    controller = attacked.controller
    _put(controller, "evil", servicePath="/", port=str(attacked.evil.port), **parameters)

    for path in ("/", "/other", "/a"):
        assert controller.get(path, HOST).text.startswith("victim ")
    assert controller.status["failure"] is None
    assert controller.api("/v1/remove", serviceName="evil").status == 200


def test_the_default_of_a_service_opens_no_protected_destination(attacked: Attacked) -> None:
    controller, port = attacked.controller, str(attacked.evil.port)
    public = {"servicePath.1": "/public", "port.1": port, "ignoreAuthorization.1": "true"}
    admin = {"servicePath.2": "/admin", "port.2": port, "users": "a:b", "isDefaultBackend": "true"}

    assert _put(controller, "mixed", **public, **admin) == 400
    assert controller.get("/admin", "other.org").status == 503


def test_all_destinations_of_a_service_share_its_connections(attacked: Attacked) -> None:
    controller, slow = attacked.controller, attacked.evil
    several = {f"servicePath.{number}": f"/slow{number}" for number in (1, 2, 3)}
    several |= {f"port.{number}": str(slow.port) for number in (1, 2, 3)}
    assert _put(controller, "slow", **several) == 200
    waiting: list[socket.socket] = []
    try:
        for number in (1, 2, 3):
            eventually(partial(_is_full, controller, waiting, f"/slow{number}"))
        assert controller.get("/", HOST).status == 200
        slow.release.set()
        answers = [connection.recv(65536) for connection in waiting]
    finally:
        slow.release.set()
        for connection in waiting:
            connection.close()

    assert 54 <= sum(b" 200 " in answer for answer in answers) <= 66
    assert all(b" 200 " in answer or b" 503 " in answer for answer in answers)


def test_one_service_of_a_stack_does_not_freeze_all_others(controller: Controller) -> None:
    """Where hosts belong to stacks, a lone * was a mistake that ended every round."""
    with daemons() as daemon, origins() as start:
        port = str(start("victim").port)
        daemon.put("broken", stack="e", serviceDomain="*", serviceDomainAlgo="hdr_reg(host)", port=port, **OUT)
        daemon.put("redirect", stack="e", serviceDomain="e.org", redirectFromDomain="*first.org", port=port, **OUT)
        daemon.put("victim", stack="v", serviceDomain=HOST, port=port, **OUT)
        controller.start(FLOWPROXY_HOSTS="stack", **daemon.environment)

        eventually(lambda: controller.get("/", HOST).text.startswith("victim "))
        assert controller.status["failure"] is None
        assert controller.status["quarantined"].keys() == {"broken", "redirect"}


def _put(controller: Controller, name: str, **parameters: str) -> int:
    return controller.api("/v1/reconfigure", serviceName=name, **OUT, **parameters).status


def _is_full(controller: Controller, waiting: list[socket.socket], path: str) -> bool:
    """Whether one more request is refused; two more at a time wait."""
    for _ in range(2):
        connection = socket.create_connection(("127.0.0.1", controller.traffic), 10)
        connection.sendall(f"GET {path}/wait HTTP/1.1\r\nHost: a.org\r\n\r\n".encode())
        waiting.append(connection)
    return controller.get(path, "a.org").status == 503
