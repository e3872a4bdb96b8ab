"""No web page of another origin drives the proxy from the browser of somebody who reaches its API."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from controller import Controller, Origin, Running, fetch

Origins = Callable[[str], Origin]

WEB = "serviceName=web&servicePath=/web&port=80&outboundHostname=127.0.0.1"
CALLS = [
    (f"/v1/docker-flow-proxy/reconfigure?{WEB}", "GET"),
    (f"/v1/docker-flow-proxy/reconfigure?{WEB}", "POST"),
    (f"/v1/reconfigure?{WEB}", "GET"),
    ("/v1/remove?serviceName=web", "GET"),
    ("/v1/reload", "GET"),
    ("/v1/cert?certName=a.pem", "PUT"),
    ("/v1/ping", "GET"),
    ("/v1/status", "GET"),
    ("/metrics", "GET"),
    ("/v1/services", "GET"),
]
FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.org"},
    {"Origin": "null", "Content-Type": "text/plain"},
    {"Accept-Language": "en", "Referer": "http://evil.org/page"},
    {"Host": "evil.org", "Sec-Fetch-Site": "same-origin"},
    {"Host": "evil.org", "Origin": "http://evil.org"},
    {"Host": "evil.org", "Accept-Language": "en", "User-Agent": "Mozilla/5.0"},
]


def _is_known(controller: Controller) -> bool:
    return controller.api("/v1/services/web").status == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_may_not_call(running: Running[Controller], headers: dict[str, str]) -> None:
    controller = running()
    for path, method in CALLS:
        answer = fetch(controller.port, path, method, headers)
        assert answer.status == 403, (path, method)
        assert answer.json["Status"] == "NOK"
    assert not _is_known(controller)


def test_an_image_in_a_page_changes_nothing(running: Running[Controller]) -> None:
    """The page keeps the browser from saying where it comes from, and the API is not reached by HTTPS."""
    controller = running()
    image = {"User-Agent": "Mozilla/5.0 (X11; Linux)", "Accept-Language": "en", "Accept": "image/*"}
    assert fetch(controller.port, f"/v1/reconfigure?{WEB}", headers=image).status == 403
    assert not _is_known(controller)
    assert fetch(controller.port, "/v1/status", headers=image).status == 200


def test_there_is_no_cors(running: Running[Controller]) -> None:
    controller = running()
    asks = {"Origin": "http://evil.org", "Access-Control-Request-Method": "GET"}
    answer = fetch(controller.port, f"/v1/reconfigure?{WEB}", "OPTIONS", asks)
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert not _is_known(controller)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "proxy:{port}", "tasks.proxy", socket.gethostname(), "ui.org"]
)
def test_a_person_at_the_api_may_call(running: Running[Controller], host: str) -> None:
    controller = running(FLOWPROXY_API_HOSTS="api.example.org,UI.org")
    named = host.format(port=controller.port)
    headers = {"Host": named, "Origin": f"http://{named}", "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
    assert fetch(controller.port, f"/v1/reconfigure?{WEB}", headers=headers).status == 200
    assert _is_known(controller)


def test_the_error_says_what_to_set(running: Running[Controller]) -> None:
    controller = running()
    answer = fetch(controller.port, "/v1/services", headers={"Host": "ui.org", "Sec-Fetch-Site": "none"})
    assert (answer.status, "FLOWPROXY_API_HOSTS" in answer.json["Message"]) == (403, True)


# What the listener, the companion for certificates, Prometheus and people send.
TOOLS: list[dict[str, Any]] = [
    {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"},
    {"User-Agent": "python-requests/2.31", "Accept": "*/*", "Connection": "keep-alive"},
    {"User-Agent": "curl/7.88.1", "Accept": "*/*"},
    {"User-Agent": "Mozilla/5.0 (Windows NT) WindowsPowerShell/5.1"},
    {"User-Agent": "Prometheus/2.45.0", "X-Prometheus-Scrape-Timeout-Seconds": "10"},
]


@pytest.mark.parametrize("headers", TOOLS, ids=str)
def test_tools_may_call_by_any_name(running: Running[Controller], headers: dict[str, str]) -> None:
    controller = running()
    for host in ("whatever.example.org", "proxy_proxy:8080", f"127.0.0.1:{controller.port}"):
        given = headers | {"Host": host}
        assert fetch(controller.port, f"/v1/docker-flow-proxy/reconfigure?{WEB}", headers=given).status == 200
        assert fetch(controller.port, "/metrics", headers=given).status == 200


def test_a_page_gains_nothing_through_a_route_to_the_api(running: Running[Controller]) -> None:
    controller = running()
    route = {"servicePath": "/", "port": str(controller.port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("api", **route).status == 200
    for headers in FOREIGN:
        assert fetch(controller.traffic, f"/v1/reconfigure?{WEB}", headers={"Host": "api.org"} | headers).status == 403
    assert not _is_known(controller)
