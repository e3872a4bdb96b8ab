"""What a service learns of the client: from HAProxy, and from whom else the operator trusts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from controller import Controller, exchange, fetch, origins
from support import eventually

PATHS = {
    "/": {},
    "/only": {"httpsOnly": "true"},
    "/denied": {"denyHttp": "true"},
    "/scheme": {"redirectUnlessHttpsProto": "true"},
}

FORGED = {
    "X-Forwarded-For": "1.2.3.4",
    "X-Forwarded-Host": "forged.example.org",
    "X-Forwarded-Port": "4444",
    "X-Forwarded-Proto": "forged",
    "X-Forwarded-Prefix": "/forged",
    "X_Forwarded_Host": "forged.example.org",
    "X-Real-IP": "1.2.3.4",
    "Forwarded": "for=1.2.3.4;host=forged.example.org",
}


Started = Callable[..., Controller]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Starts a controller with one service, once for each environment."""
    running: dict[tuple[tuple[str, str], ...], Controller] = {}

    with origins() as origin:
        port = str(origin("web").port)

        def start(**environment: str) -> Controller:
            key = tuple(sorted(environment.items()))
            if key not in running:
                controller = running[key] = Controller(tmp_path_factory.mktemp("forwarding") / "state")
                controller.start(**environment)
                for path, more in PATHS.items():
                    given = {"serviceDomain": "a.org,*.b.org", "servicePath": path, "port": port, **more}
                    answer = controller.reconfigure(f"web{path[1:]}", outboundHostname="127.0.0.1", **given)
                    assert answer.status == 200, answer.text
            return running[key]

        try:
            yield start
        finally:
            for controller in running.values():
                controller.end()


def seen(controller: Controller, host: str = "a.org", **headers: str) -> dict[str, list[str]]:
    """The headers of a request that reached the service: name in lower case -> values."""
    answer = fetch(controller.traffic, "/", headers={"Host": host, **headers})
    assert answer.status == 200, answer.text
    found: dict[str, list[str]] = {}
    for line in answer.text.splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon:
            found.setdefault(name.lower(), []).append(value)
    return found


def forwarding(controller: Controller, host: str = "a.org", **headers: str) -> dict[str, list[str]]:
    return {n: v for n, v in seen(controller, host, **headers).items() if "forward" in n or "real" in n}


@pytest.mark.parametrize("host", ["a.org", "A.org", "deep.b.org"])
@pytest.mark.parametrize("given", [{}, FORGED])
def test_a_client_that_nobody_vouches_for_says_nothing_of_itself(
    started: Started, host: str, given: dict[str, str]
) -> None:
    controller = started(FLOWPROXY_TRUSTED_PROXIES="none")

    assert forwarding(controller, host, **given) == {
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-host": [host],
        "x-forwarded-port": [str(controller.traffic)],
        "x-forwarded-proto": ["http"],
        "x-real-ip": ["127.0.0.1"],
    }


def test_while_nothing_is_said_of_proxies_in_front_the_list_of_addresses_is_appended_to(
    started: Started,
) -> None:
    controller = started()

    assert forwarding(controller, **FORGED) == {
        "x-forwarded-for": ["1.2.3.4", "127.0.0.1"],
        "x-forwarded-host": ["a.org"],
        "x-forwarded-port": [str(controller.traffic)],
        "x-forwarded-proto": ["http"],
        "x-real-ip": ["127.0.0.1"],
    }
    assert any("FLOWPROXY_TRUSTED_PROXIES" in warning for warning in controller.status["warnings"])


def test_a_trusted_proxy_says_where_a_request_comes_from(started: Started) -> None:
    controller = started(FLOWPROXY_TRUSTED_PROXIES="127.0.0.0/8,10.9.0.0/16", DEBUG="true")
    sent = {
        "X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.9.1.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example.org",
        "X-Real-IP": "6.6.6.6",
    }

    found = forwarding(controller, **sent)
    assert found["x-real-ip"] == ["203.0.113.7"]
    assert found["x-forwarded-for"] == ["6.6.6.6, 203.0.113.7, 10.9.1.1", "127.0.0.1"]
    assert found["x-forwarded-proto"] == ["https"]
    assert found["x-forwarded-host"] == ["shop.example.org"]
    assert found["x-forwarded-port"] == [str(controller.traffic)]
    eventually(lambda: "\n203.0.113.7:" in controller.log.read_text())
    assert forwarding(controller)["x-real-ip"] == ["127.0.0.1"]


@pytest.mark.parametrize("list_of_addresses", ["6.6.6.6, unknown", "6.6.6.6, 203.0.113.7:9", "6.6.6.6, "])
def test_what_stands_behind_a_value_that_is_no_address_is_not_believed(
    started: Started, list_of_addresses: str
) -> None:
    controller = started(FLOWPROXY_TRUSTED_PROXIES="127.0.0.0/8")

    assert "6.6.6.6" not in forwarding(controller, **{"X-Forwarded-For": list_of_addresses})["x-real-ip"]


def test_another_than_the_trusted_proxy_is_not_believed(started: Started) -> None:
    controller = started(FLOWPROXY_TRUSTED_PROXIES="10.9.0.0/16")

    assert forwarding(controller, **FORGED) == forwarding(controller)


@pytest.mark.parametrize(
    ("trusted", "said", "status"),
    [
        ({}, "https", 200),
        ({}, "http", 302),
        ({"FLOWPROXY_TRUSTED_PROXIES": "127.0.0.1"}, "https", 200),
        ({"FLOWPROXY_TRUSTED_PROXIES": "127.0.0.1"}, "http", 302),
        ({"FLOWPROXY_TRUSTED_PROXIES": "10.9.0.0/16"}, "https", 302),
        ({"FLOWPROXY_TRUSTED_PROXIES": "none"}, "https", 302),
    ],
)
def test_a_redirect_by_scheme_believes_the_trusted_proxy_or_while_none_is_named_anybody(
    started: Started, trusted: dict[str, str], said: str, status: int
) -> None:
    controller = started(**trusted)

    assert controller.get("/scheme", host="a.org", X_Forwarded_Proto=said).status == status
    warned = controller.api("/v1/services/webscheme").json["warnings"]
    assert any("FLOWPROXY_TRUSTED_PROXIES" in text for text in warned) == (not trusted)


def test_https_behind_a_trusted_proxy_is_https(started: Started) -> None:
    controller = started(FLOWPROXY_TRUSTED_PROXIES="127.0.0.1")

    assert controller.get("/only", host="a.org", X_Forwarded_Proto="https").status == 200
    assert controller.get("/denied", host="a.org", X_Forwarded_Proto="https").status == 200
    assert controller.get("/only", host="a.org").status == 302
    assert controller.get("/denied", host="a.org").status == 403


def test_a_proxy_protocol_header_is_expected_from_the_networks_that_send_it(
    started: Started,
) -> None:
    controller = started(FLOWPROXY_PROXY_PROTOCOL="127.0.0.1")
    said = exchange(
        controller.traffic,
        b"PROXY TCP4 203.0.113.9 192.0.2.1 5555 443\r\nGET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n",
    )
    assert b"203.0.113.9" in said.split(b"x-real-ip: ")[1].splitlines()[0]
    assert b"443" in said.split(b"x-forwarded-port: ")[1].splitlines()[0]
    # without the header the connection is refused: nobody passes for the load balancer by leaving it out
    assert b" 200 " not in exchange(controller.traffic, b"GET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("value", ["10.0.0.0/33", "example.org", "10.0.0.1/8", "none,10.0.0.0/8"])
def test_a_setting_that_is_no_network_stops_the_start(controller: Controller, value: str) -> None:
    controller.launch(FLOWPROXY_TRUSTED_PROXIES=value)

    assert controller.process
    assert controller.process.wait(20) == 1
    assert "FLOWPROXY_TRUSTED_PROXIES" in controller.log.read_text()
