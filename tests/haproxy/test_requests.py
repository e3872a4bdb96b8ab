"""Requests that a client words so that HAProxy and the service read them differently."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from certificates import make_certificate
from controller import Controller, Origin, Tls, exchange, origins
from support import eventually

Origins = Callable[[str], Origin]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A service that is open below /public and asks for a password elsewhere."""
    controller = Controller(tmp_path_factory.mktemp("requests") / "state")
    with origins() as origin:
        given = {"port": str(origin("shop").port), "outboundHostname": "127.0.0.1"}
        try:
            controller.start()
            answer = controller.reconfigure(
                "shop",
                **given,
                serviceDomain="shop.org,*.wild.org",
                users="admin:secret",
                servicePath_1="/public",
                ignoreAuthorization_1="true",
                servicePath_2="/",
            )
            assert answer.status == 200, answer.text
            half = {"servicePath_1": "/public", "ignoreAuthorization_1": "true", "servicePath_2": "/admin"}
            answer = controller.reconfigure("half", serviceDomain="half.org", users="admin:secret", **half, **given)
            assert answer.status == 200, answer.text
            everyday = {"servicePath_1": "/", "ignoreAuthorization_1": "true", "servicePath_2": "/admin"}
            answer = controller.reconfigure("site", serviceDomain="site.org", users="a:b", **everyday, **given)
            assert answer.status == 200, answer.text
            apart = {"serviceDomain": "outside.org", "servicePathExclude": "/admin"}
            answer = controller.reconfigure("outside", **apart, **given)
            assert answer.status == 200, answer.text
            controller.reconfigure("allowed", servicePath="/allowed", allowedMethods="GET", **given)
            controller.reconfigure("denied", servicePath="/denied", deniedMethods="DELETE,PURGE", **given)
            yield controller
        finally:
            controller.end()


def status(controller: Controller, head: str, body: bytes = b"") -> int:
    """Of the answer, without waiting for the end of the connection."""
    with socket.create_connection(("127.0.0.1", controller.traffic), 10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        return int(connection.recv(65536).split()[1])


@pytest.mark.parametrize(
    "host",
    [
        "shop.org/public",
        "shop.org/public?",
        "shop.org?x=/public",
        "shop.org#/public",
        "public@shop.org",
        "shop.org /public",
        "shop.org\t/public",
        "shop.org\\\\public",
        "shop.org,shop.org/public",
        "deep.wild.org/public",
        "SHOP.org/public",
    ],
)
def test_a_host_that_is_none_leads_to_no_route(shop: Controller, host: str) -> None:
    assert status(shop, "GET /admin HTTP/1.1\nHost: shop.org\nConnection: close\n") == 401
    assert status(shop, f"GET /admin HTTP/1.1\nHost: {host}\nConnection: close\n") == 400


@pytest.mark.parametrize("host", ["shop.org", "SHOP.org:80", "shop.org.", "deep.wild.org:8080"])
def test_ordinary_hosts_go_on_working(shop: Controller, host: str) -> None:
    assert status(shop, f"GET /public HTTP/1.1\nHost: {host}\nConnection: close\n") == 200
    assert status(shop, f"GET /admin HTTP/1.1\nHost: {host}\nConnection: close\n") == 401


ADMIN = [
    "/admin",
    "/public/../admin",
    "/public/../admin/x",
    "/public/%2e%2e/admin",
    "/public/./../admin",
    "//admin",
    "/%61dmin",
    "/x/..;/admin",
    "/public/..%2fadmin",
    "/public/..%5cadmin",
    "/public/../admin//..",
    "/public%00/../admin",
    "/public/x/../../admin",
]


@pytest.mark.parametrize("path", ADMIN)
def test_no_spelling_of_a_path_gets_round_the_password(shop: Controller, path: str) -> None:
    assert status(shop, f"GET {path} HTTP/1.1\nHost: shop.org\nConnection: close\n") == 401
    assert status(shop, f"GET {path} HTTP/1.1\nHost: site.org\nConnection: close\n") in (401, 503)
    assert status(shop, f"GET {path} HTTP/1.1\nHost: half.org\nConnection: close\n") in (401, 503)


@pytest.mark.parametrize("path", ADMIN)
def test_no_spelling_of_a_path_gets_round_an_exclusion(shop: Controller, path: str) -> None:
    assert status(shop, f"GET {path} HTTP/1.1\nHost: outside.org\nConnection: close\n") == 503


@pytest.mark.parametrize("path", ["/public", "/public/a%20b", "/public//x", "/public/a/../b", "/public/%61"])
def test_what_stays_below_an_open_path_is_open_and_arrives_as_it_was_sent(shop: Controller, path: str) -> None:
    for host in ("shop.org", "half.org", "site.org"):
        said = exchange(shop.traffic, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert said.split(b"\r\n\r\n", 1)[1].startswith(f"shop {path}\n".encode())


def test_a_path_made_to_be_slow_to_normalise_costs_a_stranger_nothing(shop: Controller) -> None:
    for piece in ("/.", "/a/..", ";", "//", "%2e%2e/", "/..", "\\"):
        path = "/public" + piece * (6000 // len(piece))
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            assert status(shop, f"GET {path} HTTP/1.1\nHost: shop.org\nConnection: close\n") in (200, 401, 503)
            taken.append(time.perf_counter() - began)
        assert min(taken) < 0.05, piece


@pytest.mark.parametrize("length", ["18446744073709551616", "18446744073709551621", "9999999999999999999"])
def test_a_length_that_overflows_is_refused(shop: Controller, length: str) -> None:
    head = f"POST /public HTTP/1.1\nHost: shop.org\nContent-Length: {length}\nConnection: close\n"

    assert status(shop, head, b"hello") == 400


def test_an_upgrade_to_h2c_never_reaches_a_service(shop: Controller) -> None:
    said = exchange(
        shop.traffic,
        b"GET /public HTTP/1.1\r\nHost: shop.org\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        b"GET /public HTTP/1.1\r\nHost: shop.org\r\nConnection: close\r\n\r\n",
    ).lower()

    assert said.count(b"http/1.1 200") == 2
    assert b"h2c" not in said
    assert b"http2-settings:" not in said


def test_a_method_is_compared_as_it_was_sent(shop: Controller) -> None:
    for path, method, expected in [
        ("/allowed", "GET", 200),
        ("/allowed", "get", 403),
        ("/allowed", "POST", 403),
        ("/denied", "GET", 200),
        ("/denied", "DELETE", 403),
        ("/denied", "delete", 403),
        ("/denied", "Delete", 403),
        ("/denied", "PURGE", 403),
        ("/denied", "purge", 403),
    ]:
        head = f"{method} {path} HTTP/1.1\nHost: other.org\nConnection: close\n"
        assert status(shop, head) == expected, (method, path)


def test_a_service_that_hangs_does_not_use_up_the_connections_of_others(
    controller: Controller, origin: Origins
) -> None:
    controller.start(FLOWPROXY_SERVICE_CONNECTIONS="20")
    slow, quick = origin("slow"), origin("quick")
    controller.reconfigure("slow", servicePath="/slow", port=str(slow.port), outboundHostname="127.0.0.1")
    controller.reconfigure("quick", servicePath="/quick", port=str(quick.port), outboundHostname="127.0.0.1")
    waiting: list[socket.socket] = []

    def is_full() -> bool:
        """Whether one more is refused; two at a time, so that requests counted at the same moment do not matter."""
        for _ in range(2):
            connection = socket.create_connection(("127.0.0.1", controller.traffic), 10)
            connection.sendall(b"GET /slow/wait HTTP/1.1\r\nHost: a.org\r\n\r\n")
            waiting.append(connection)
        return controller.get("/slow").status == 503

    eventually(is_full)
    assert controller.get("/quick").status == 200
    slow.release.set()
    answers = [connection.recv(65536) for connection in waiting]
    assert 18 <= sum(b" 200 " in answer for answer in answers) <= 22
    assert all(b" 200 " in answer or b" 503 " in answer for answer in answers)
    for connection in waiting:
        connection.close()
    eventually(lambda: controller.get("/slow").status == 200)


def test_the_cookie_of_a_sticky_session_is_for_the_browser_alone(tls: Tls, origin: Origins) -> None:
    (tls.certs / "a.org.pem").write_text(make_certificate("a.org")[0])
    tls.begin()
    port = str(origin("web").port)
    tls.reconfigure("web.shop", servicePath="/", port=port, outboundHostname="127.0.0.1", sessionType="sticky-server")

    plain = tls.get("/").headers["set-cookie"].split("; ")
    assert plain[0].startswith("web.shop=")
    assert "HttpOnly" in plain
    assert "Secure" not in plain
    assert {"HttpOnly", "Secure"} <= set(tls.get_tls("/").headers["set-cookie"].split("; "))


def test_a_service_has_a_limited_number_of_ports(controller: Controller) -> None:
    controller.start(DO_NOT_RESOLVE_ADDR="true")
    many = {f"port_{number}": "80" for number in range(1, 30)}
    many |= {f"srcPort_{number}": str(21000 + number) for number in range(1, 30)}

    answer = controller.reconfigure("greedy", reqMode="tcp", **many)
    assert answer.status == 400
    assert "srcPort" in answer.json["Message"]
