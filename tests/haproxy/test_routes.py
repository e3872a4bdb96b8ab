"""What a client sees of routes that were put by API."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from controller import Controller, Origin, Running

Origins = Callable[[str], Origin]


@pytest.fixture
def controller(running: Running[Controller]) -> Controller:
    return running()


@pytest.fixture
def web(controller: Controller, origin: Origins) -> Callable[..., int]:
    """Registers a service with an origin of its own and returns the status of the call."""

    def put(name: str, **parameters: str) -> int:
        port = str(origin(name).port)
        given = {"port": port, "outboundHostname": "127.0.0.1", **parameters}
        return controller.reconfigure(name, **given).status

    return put


def test_a_route_is_there_when_the_call_is_answered(controller: Controller, web: Callable[..., int]) -> None:
    assert controller.get("/demo/hello").status == 503
    assert web("demo", servicePath="/demo") == 200

    answer = controller.get("/demo/hello?a=b")
    assert answer.status == 200
    assert answer.text.startswith("demo /demo/hello?a=b\n")
    assert "X-Forwarded-For: 127.0.0.1" in answer.text.replace("x-forwarded-for", "X-Forwarded-For")


def test_what_matches_nothing_is_answered_with_our_error_page(controller: Controller, web: Callable[..., int]) -> None:
    web("demo", servicePath="/demo")

    answer = controller.get("/other")
    assert answer.status == 503
    assert "503 Service unavailable" in answer.text


def test_host_and_path_decide_together(controller: Controller, web: Callable[..., int]) -> None:
    web("site", serviceDomain="acme.com,*.acme.com")
    web("api", serviceDomain="acme.com", servicePath="/api")
    web("rest", servicePath="/", isDefaultBackend="true")

    seen = {
        (host, path): controller.get(path, host=host).text.split()[0]
        for host, path in [
            ("acme.com", "/"),
            ("ACME.com:8000", "/api/v1"),
            ("www.acme.com", "/api"),
            ("acme.com.", "/x"),
            ("acme.com.evil.org", "/api"),
        ]
    }
    assert list(seen.values()) == ["site", "api", "site", "site", "rest"]


def test_a_service_with_several_destinations(controller: Controller, origin: Origins) -> None:
    one, two = origin("one"), origin("two")
    controller.reconfigure(
        "both",
        servicePath_1="/one",
        port_1=str(one.port),
        servicePath_2="/two",
        port_2=str(two.port),
        outboundHostname="127.0.0.1",
    )

    assert controller.get("/one").text.startswith("one ")
    assert controller.get("/two").text.startswith("two ")


def test_headers_and_agents_choose_and_fall_back(controller: Controller, web: Callable[..., int]) -> None:
    web("stable", servicePath="/app")
    web("beta", servicePath="/app", serviceHeader="X-Beta:yes it's #1 $HOME")
    web("retro", servicePath="/app", userAgent="amiga,atari")

    assert controller.get("/app").text.split()[0] == "stable"
    assert controller.get("/app", X_Beta="yes it's #1 $HOME").text.split()[0] == "beta"
    assert controller.get("/app", User_Agent="My AMIGA").text.split()[0] == "retro"


def test_another_path_of_a_known_service_is_live_without_a_reload(
    controller: Controller, web: Callable[..., int], origin: Origins
) -> None:
    port = str(origin("web").port)
    web("other", servicePath="/other")
    controller.reconfigure("web", servicePath="/a", port=port, outboundHostname="127.0.0.1")
    before = controller.status

    controller.reconfigure("web", servicePath="/a,/b", port=port, outboundHostname="127.0.0.1")

    after = controller.status
    assert controller.get("/b").status == 200
    assert after["haproxy"]["worker"] == before["haproxy"]["worker"]
    assert after["reloads"] == before["reloads"]
    assert after["runtime_updates"] == before["runtime_updates"] + 1


def test_servers_are_exchanged_without_a_reload(controller: Controller, origin: Origins) -> None:
    web = {"servicePath": "/", "port": str(origin("web").port)}
    controller.reconfigure("web", **web, outboundHostname="127.0.0.2")  # nobody listens there
    before = controller.status
    assert controller.get("/").status == 503

    controller.reconfigure("web", **web, outboundHostname="127.0.0.1")

    assert controller.get("/").status == 200
    assert controller.status["haproxy"]["worker"] == before["haproxy"]["worker"]


def test_a_service_is_removed_at_once(controller: Controller, web: Callable[..., int]) -> None:
    web("demo", servicePath="/demo")
    answer = controller.api("/v1/docker-flow-proxy/remove", serviceName="demo")

    assert answer.status == 200
    assert answer.json["Status"] == "OK"
    assert controller.get("/demo").status == 503


def test_removing_what_is_not_there_reloads_nothing(controller: Controller, web: Callable[..., int]) -> None:
    web("demo", servicePath="/demo")
    before = controller.status["reloads"]

    assert controller.api("/v1/remove", serviceName="unknown").status == 200
    assert controller.status["reloads"] == before


def test_no_replicas_is_no_route(controller: Controller, web: Callable[..., int]) -> None:
    web("demo", servicePath="/demo", replicas="1")
    assert web("demo", servicePath="/demo", replicas="0") == 200

    assert controller.get("/demo").status == 503


def test_a_request_to_a_service_without_servers_is_answered_with_503(running: Running[Controller]) -> None:
    controller = running(DO_NOT_RESOLVE_ADDR="true")

    assert controller.reconfigure("nowhere", servicePath="/x", port="80").status == 200
    assert controller.get("/x").status == 503
