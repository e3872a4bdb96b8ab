"""What the author of one service's labels can and cannot do to other services."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from controller import Controller, Origin
from daemon import Daemon, daemons
from support import free_port

Origins = Callable[[str], Origin]
OUT = {"outboundHostname": "127.0.0.1"}


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with daemons() as daemon:
        yield daemon


@pytest.mark.parametrize("spelling", ["servicename", "SERVICENAME", "ServiceName"])
def test_no_label_names_another_service(controller: Controller, origin: Origins, daemon: Daemon, spelling: str) -> None:
    web, evil = str(origin("web").port), str(origin("evil").port)
    daemon.put("victim", servicePath="/victim", port=web, users="a:b", **OUT)
    names = {"serviceName": "x", spelling: "victim", "Replicas": "0"}
    daemon.put("evil", servicePath="/evil", port=evil, **names, **OUT)
    controller.start(**daemon.environment)

    assert controller.get("/victim").status == 401
    assert controller.get("/evil").text.split()[0] == "evil"
    assert [service["name"] for service in controller.api("/v1/services").json] == ["evil", "victim"]


def test_a_stack_is_known_from_docker_and_kept_over_a_restart_without_it(
    controller: Controller, origin: Origins, daemon: Daemon
) -> None:
    def overlaps() -> list[tuple[str, str, str]]:
        listed = controller.status["overlaps"]
        return [(overlap["taker"], overlap["loser"], overlap["level"]) for overlap in listed]

    port = str(origin("web").port)
    given = {"serviceDomain": "shop.org", "port": port, **OUT}
    daemon.put("shop_web", "shop", **given)
    daemon.put("shop_api", "shop", servicePath="/api", **given)
    daemon.put("evil_api", "evil", servicePath="/api/evil", com__docker__stack__namespace="shop", **given)
    expected = [("evil_api", "shop_api", "warning"), ("shop_api", "shop_web", "information")]
    controller.start(**daemon.environment)
    assert overlaps() == expected

    controller.end()
    daemon.services.clear()
    controller.start(FLOWPROXY_SWARM="on", DOCKER_HOST="tcp://127.0.0.1:1")
    assert overlaps() == expected


def test_services_of_one_stack_are_one_group_without_a_token(
    controller: Controller, origin: Origins, daemon: Daemon
) -> None:
    group = {"reqMode": "tcp", "srcPort": str(free_port()), "serviceGroup": "dbs", "port": "1", **OUT}
    daemon.put("shop_one", "shop", **group)
    daemon.put("shop_two", "shop", **group)
    daemon.put("evil", "evil", aclName="0", **group)
    controller.start(**daemon.environment)

    (conflict,) = controller.status["conflicts"]
    assert (conflict["winner"], conflict["loser"]) == ("shop_one", "evil")
    assert "its group dbs is that of stack shop" in conflict["route"]
