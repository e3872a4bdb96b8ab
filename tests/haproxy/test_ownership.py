"""Nobody takes another's traffic unnoticed, and with FLOWPROXY_HOSTS=stack nobody takes another stack's host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from controller import Answer, Controller, Origin, Running
from support import eventually, free_port

Origins = Callable[[str], Origin]
HOST = "victim.org"


class Cluster:
    """Registers services that lead to an origin of their own name."""

    def __init__(self, controller: Controller, origin: Origins) -> None:
        self.controller = controller
        self._origin = origin

    def put(self, name: str, **parameters: str) -> Answer:
        given = {"outboundHostname": "127.0.0.1", "port": str(self._origin(name).port), **parameters}
        return self.controller.reconfigure(name, **given)

    def save(self, name: str, stack: str, created: float, **parameters: str) -> None:
        """As a service that the Swarm listed before the controller was started again."""
        folder = self.controller.folder / "services"
        folder.mkdir(parents=True, exist_ok=True)
        given = {"serviceName": name, "outboundHostname": "127.0.0.1", "port": str(self._origin(name).port)}
        saved = {"origin": "swarm", "created": created, "parameters": given | parameters, "stack": stack}
        (folder / f"{name}.json").write_text(json.dumps(saved))

    def start_without_docker(self, **environment: str) -> None:
        self.controller.start(FLOWPROXY_SWARM="on", DOCKER_HOST=f"tcp://127.0.0.1:{free_port()}", **environment)

    def served(self, path: str = "/", host: str = HOST) -> str:
        answer = self.controller.get(path, host)
        return answer.text.split()[0] if answer.status == 200 else str(answer.status)

    def service(self, name: str) -> Any:
        return self.controller.api(f"/v1/services/{name}").json


@pytest.fixture
def cluster(controller: Controller, origin: Origins) -> Cluster:
    """Not yet started."""
    return Cluster(controller, origin)


@pytest.fixture
def open_cluster(running: Running[Controller], origin: Origins) -> Cluster:
    return Cluster(running(), origin)


@pytest.fixture
def cluster_with_owners(running: Running[Controller], origin: Origins) -> Cluster:
    return Cluster(running(FLOWPROXY_HOSTS="stack"), origin)


@pytest.mark.parametrize(
    "condition",
    [
        {"servicePathExclude": "/zzz"},
        {"pathType": "path_reg", "servicePath": ".*"},
        {"pathType": "path_beg -i", "servicePath": "/"},
        {"servicePath": "/.well-known/acme-challenge/"},
    ],
)
def test_who_takes_requests_is_listed_everywhere(open_cluster: Cluster, condition: dict[str, str]) -> None:
    cluster, controller = open_cluster, open_cluster.controller
    logged = controller.log.read_text().count("routes overlap")
    cluster.put("victim", serviceDomain=HOST, servicePath="/")
    answer = cluster.put("taker", **{"serviceDomain": HOST, "servicePath": "/", **condition})

    assert answer.json["Status"] == "OK"
    assert "takes requests from victim.org/ of service victim" in answer.json["Message"]
    (overlap,) = answer.json["Overlaps"]
    assert (overlap["taker"], overlap["loser"], overlap["level"]) == ("taker", "victim", "warning")
    assert cluster.served(condition.get("servicePath", "/").removeprefix(".*") or "/") == "taker"
    status = controller.status
    assert (status["overlaps"], status["overlaps_total"]) == ([overlap], 1)
    assert cluster.service("victim")["overlaps"] == cluster.service("taker")["overlaps"] == [overlap]
    assert [s["overlaps"] for s in controller.api("/v1/services").json] == [[overlap], [overlap]]
    assert eventually(lambda: controller.log.read_text().count("routes overlap") == logged + 1)
    cluster.put("other", serviceDomain="other.org")
    assert controller.log.read_text().count("routes overlap") == logged + 1


def test_the_loser_of_a_conflict_reads_it_in_its_own_answer(open_cluster: Cluster) -> None:
    first = open_cluster.put("first", serviceDomain=HOST)
    second = open_cluster.put("second", serviceDomain=HOST)

    assert first.json["Message"] == ""
    assert (second.status, second.json["Status"]) == (200, "OK")
    assert second.json["Message"] == "the route victim.org/ is served by service first, which is older"
    assert second.json["Conflicts"] == [{"route": "victim.org/", "winner": "first", "loser": "second"}]
    assert open_cluster.served() == "first"


def test_nobody_is_its_own_winner(open_cluster: Cluster) -> None:
    cluster, controller = open_cluster, open_cluster.controller
    port = str(free_port())
    answer = cluster.put(
        "twice",
        servicePath_1="/a",
        servicePath_2="/a",
        port_2="81",
        reqMode_3="tcp",
        srcPort_3=port,
        reqMode_4="tcp",
        srcPort_4=port,
        port_3="82",
        port_4="83",
    )

    assert controller.status["conflicts"] == []
    assert "the route */a leads to" in answer.json["Message"]
    assert any(f"port {port}" in warning for warning in cluster.service("twice")["warnings"])


def test_a_host_belongs_to_the_stack_of_its_oldest_service(cluster: Cluster) -> None:
    cluster.save("shop_web", "shop", 10, serviceDomain=f"{HOST},*.{HOST}")
    cluster.save("shop_api", "shop", 30, serviceDomain=HOST, servicePath="/api")
    cluster.save("evil_web", "evil", 20, serviceDomain=HOST, servicePath="/api", servicePathExclude="/zzz")
    cluster.save("evil_own", "evil", 20, serviceDomain="evil.org")
    cluster.start_without_docker(FLOWPROXY_HOSTS="stack")

    assert [cluster.served("/api"), cluster.served("/"), cluster.served("/", "evil.org")] == [
        "shop_api",
        "shop_web",
        "evil_own",
    ]
    assert cluster.controller.status["quarantined"].keys() == {"evil_web"}
    error = cluster.service("evil_web")["error"]
    assert "the host victim.org belongs to stack shop" in error
    assert "shareHost=true" in error
    assert (cluster.service("shop_api")["stack"], cluster.service("evil_own")["stack"]) == ("shop", "evil")


@pytest.mark.parametrize(
    "asked",
    [
        {"serviceDomain": HOST, "servicePath": "/.well-known/acme-challenge/"},
        {"serviceDomain": f"below.{HOST}"},
        {"serviceDomain": f"*.below.{HOST}"},
        {"serviceDomain": "*.org"},
        {"serviceDomain": "fine.net", "redirectFromDomain": HOST},
        {"serviceDomain": "victim", "serviceDomainAlgo": "hdr_beg(host)"},
        {"serviceDomain": "^nothing$", "serviceDomainAlgo": "hdr_reg(host)"},
        {"serviceDomain.1": "fine.net", "serviceDomain.2": HOST},
    ],
)
def test_a_call_for_a_host_of_another_is_a_conflict_and_changes_nothing(
    cluster_with_owners: Cluster, asked: dict[str, str]
) -> None:
    cluster = cluster_with_owners
    cluster.put("victim", serviceDomain=f"{HOST},*.{HOST}", servicePath="/app")
    answer = cluster.put("taker", **asked)

    assert answer.status == 409, answer.text
    assert "belongs to service victim, which has no stack" in answer.json["Message"]
    assert cluster.served("/app") == "victim"
    assert cluster.served("/.well-known/acme-challenge/x") == "503"
    assert cluster.controller.api("/v1/services/taker").status == 404
    assert cluster.put("taker", servicePath="/any").status == 200
    assert cluster.put("taker", serviceDomain="fine.net").status == 200


def test_the_last_good_version_of_a_refused_service_serves(cluster_with_owners: Cluster) -> None:
    cluster = cluster_with_owners
    cluster.put("victim", serviceDomain=HOST)
    cluster.put("taker", serviceDomain="fine.net")

    assert cluster.put("taker", serviceDomain=HOST).status == 409
    assert cluster.served("/", "fine.net") == "taker"


def test_the_owner_may_share_its_host_and_leaves_it_when_it_goes(cluster_with_owners: Cluster) -> None:
    cluster = cluster_with_owners
    cluster.put("owner", serviceDomain=HOST, shareHost="true")
    assert cluster.put("guest", serviceDomain=HOST, servicePath="/guest", shareHost="true").status == 200
    assert cluster.served("/guest") == "guest"
    cluster.put("owner", serviceDomain=HOST)
    assert "belongs to service owner" in cluster.service("guest")["error"]
    assert cluster.served("/guest") == "owner"

    cluster.controller.api("/v1/remove", serviceName="owner")
    assert cluster.served("/guest") == "guest"


def test_nobody_claims_a_stack_by_api(cluster: Cluster) -> None:
    cluster.save("shop_web", "shop", time.time() - 100, serviceDomain=HOST)
    cluster.start_without_docker(FLOWPROXY_HOSTS="stack")
    claims = {"com.docker.stack.namespace": "shop", "stack": "shop"}

    assert cluster.put("evil", serviceDomain=HOST, servicePath="/evil", **claims).status == 409
