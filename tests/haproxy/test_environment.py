"""Services that the environment describes, figures for Prometheus, and the requests to Docker Flow Swarm Listener."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from controller import Controller, Origin, Running
from prometheus_client.parser import text_string_to_metric_families
from support import eventually

Origins = Callable[[str], Origin]


def test_a_service_of_the_environment_is_routed_right_after_the_start(controller: Controller, origin: Origins) -> None:
    controller.start(
        DFP_SERVICE_SERVICE_NAME="plain",
        DFP_SERVICE_SERVICE_PATH="/plain",
        DFP_SERVICE_PORT=str(origin("plain").port),
        DFP_SERVICE_OUTBOUND_HOSTNAME="127.0.0.1",
        DFP_SERVICE_1_SERVICE_NAME="one",
        DFP_SERVICE_1_SERVICE_DOMAIN="one.org",
        DFP_SERVICE_1_PORT=str(origin("one").port),
        DFP_SERVICE_1_OUTBOUND_HOSTNAME="127.0.0.1",
        DFP_SERVICE_1_REQ_PATH_SEARCH_REPLACE="^/,/seen/",
    )

    assert controller.get("/plain").text.split()[0] == "plain"
    assert controller.get("/x", host="one.org").text.split()[:2] == ["one", "/seen/x"]


def test_destinations_of_the_environment_may_share_a_port(controller: Controller, origin: Origins) -> None:
    port = str(origin("web").port)
    controller.start(
        DFP_SERVICE_1_SERVICE_NAME="web",
        DFP_SERVICE_1_OUTBOUND_HOSTNAME="127.0.0.1",
        DFP_SERVICE_1_PORT_1=port,
        DFP_SERVICE_1_SERVICE_PATH_1="/a",
        DFP_SERVICE_1_PORT_2=port,
        DFP_SERVICE_1_SERVICE_PATH_2="/b",
    )

    assert [controller.get(path).status for path in ("/a", "/b", "/c")] == [200, 200, 503]


def test_a_wrong_service_of_the_environment_stops_the_start_and_a_misspelt_name_is_told(controller: Controller) -> None:
    controller.launch(DFP_SERVICE_1_SERVICE_NAME="web", DFP_SERVICE_1_SERVICE_PTH="/", DFP_SERVICE_1_PORT="80")
    assert controller.process

    assert controller.process.wait(30) == 1
    log = controller.log.read_text()
    assert "DFP_SERVICE_1_*: service web: servicePath: is missing" in log
    assert "DFP_SERVICE_1_SERVICE_PATH" in log


def test_metrics_hold_our_figures_and_those_of_haproxy(controller: Controller, origin: Origins) -> None:
    controller.start()
    port = str(origin("web").port)
    controller.reconfigure("web", servicePath="/", port=port, outboundHostname="127.0.0.1")
    controller.get("/")
    text = controller.api("/metrics").text

    assert 'flowproxy_reloads_total{reason="unknown"} 0.0' in text
    assert f'haproxy_backend_status{{proxy="web-be{port}_0",state="UP"}} 1' in text
    assert "spare:" not in text
    assert list(text_string_to_metric_families(text))
    assert "flowproxy_routes 1.0" in text
    assert 'haproxy_frontend_http_requests_total{proxy="services"}' in text


def test_the_statistics_are_there_as_csv(running: Running[Controller]) -> None:
    controller = running()

    assert "\nservices,FRONTEND," in controller.api("/v1/docker-flow-proxy/metrics").text


@pytest.mark.parametrize("path", ["notify-services", "ping"])
def test_what_the_listener_was_asked_is_answered(running: Running[Controller], path: str) -> None:
    controller = running()

    assert controller.api(f"/v1/docker-flow-swarm-listener/{path}").json == {"Status": "OK"}
    assert controller.api("/v1/docker-flow-swarm-listener/get-services").json == []
    assert controller.api("/v1/docker-flow-proxy/successfulinitreload").status == 200


def test_a_call_for_all_replicas_fails_where_they_are_not_known(controller: Controller) -> None:
    controller.start(SERVICE_NAME="no-such-service.invalid")
    web = {"serviceName": "web", "servicePath": "/", "port": "80", "outboundHostname": "127.0.0.1"}

    for path, query in (("reconfigure", web), ("remove", {"serviceName": "web"}), ("metrics", {})):
        answer = controller.api(f"/v1/docker-flow-proxy/{path}", **query, distribute="true")
        assert answer.status == 500
        assert "SERVICE_NAME must be the name of the proxy's service" in answer.json["Message"]


def test_a_port_that_expects_the_proxy_protocol(controller: Controller, origin: Origins) -> None:
    """Behind a load balancer that sends the client's address in this header."""
    controller.launch(DEFAULT_PORTS=f"{controller.traffic} accept-proxy")
    eventually(lambda: controller.status["ready"])
    port = str(origin("web").port)
    controller.reconfigure("web", servicePath="/", port=port, outboundHostname="127.0.0.1")

    with socket.create_connection(("127.0.0.1", controller.traffic), 10) as connection:
        connection.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"200 OK" in said
    assert b"x-forwarded-for: 203.0.113.7" in said


def test_of_many_services_at_once_only_the_bad_ones_are_refused(controller: Controller, origin: Origins) -> None:
    port = str(origin("web").port)
    environment: dict[str, str] = {}
    for number in range(1, 31):
        prefix = f"DFP_SERVICE_{number}"
        environment |= {
            f"{prefix}_SERVICE_NAME": f"s{number}",
            f"{prefix}_SERVICE_PATH": f"/s{number}/",
            f"{prefix}_PORT": port,
            f"{prefix}_OUTBOUND_HOSTNAME": "127.0.0.1",
        }
        if number in (7, 8, 23):
            environment[f"{prefix}_BACKEND_EXTRA"] = "garbage"
    controller.start(**environment)

    assert controller.status["quarantined"].keys() == {"s7", "s8", "s23"}
    served = [number for number in range(1, 31) if controller.get(f"/s{number}/").status == 200]
    assert served == [number for number in range(1, 31) if number not in (7, 8, 23)]
