"""What one service asks for that would cost the others much is refused, and HAProxy and the API stay quick."""

from __future__ import annotations

import base64
import http.client
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from certificates import make_certificate
from controller import Answer, Controller, Origin, fetch, origins

from flowproxy.text.framing_headers import FRAMING

BCRYPT = "$2b$06$abcdefghijklmnopqrstuuwJHKfZ2RYLMDBxrTNPMbSJzgkvYi0Dm"


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with origins() as start:
        yield start("web")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    controller = Controller(tmp_path_factory.mktemp("costly") / "state")
    try:
        yield controller.start()
    finally:
        controller.end()


def put(controller: Controller, origin: Origin, **given: str) -> Answer:
    service = {"serviceName": "evil", "servicePath": "/evil", "port": str(origin.port), "outboundHostname": "127.0.0.1"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=20)
    connection.request("POST", "/v1/reconfigure", urlencode(service | given), form)
    answer = connection.getresponse()
    return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))


def test_hashes_that_are_slow_to_compute_do_not_reach_haproxy(running: Controller, origin: Origin) -> None:
    pid = running.status["haproxy"]["pid"]
    for slow in ("$6$rounds=8000000$salt$hash", f"$2b$14{BCRYPT[6:]}", "$y$jFT$salt$hash"):
        answer = put(running, origin, users=f"a:{slow}", usersPassEncrypted="true")
        assert answer.status == 400
        assert "users: the hashes of 'a'" in answer.text
        assert slow not in answer.text

    most = ",".join(f"u{number}:{BCRYPT}" for number in range(100))
    assert put(running, origin, users=most, usersPassEncrypted="true").status == 200
    login = base64.b64encode(b"u99:wrong").decode()
    begin = time.monotonic()
    for _ in range(10):
        assert running.get("/evil", Authorization=f"Basic {login}").status == 401
    assert time.monotonic() - begin < 1
    assert running.status["haproxy"]["pid"] == pid


@pytest.mark.parametrize("name", FRAMING)
def test_headers_that_frame_messages_are_not_written(running: Controller, origin: Origin, name: str) -> None:
    assert put(running, origin).status == 200
    for parameter in ("addReqHeader", "setResHeader", "delReqHeader"):
        answer = put(running, origin, **{parameter: name if parameter.startswith("del") else f"{name} 1"})
        assert answer.status == 400
        assert "HAProxy frames messages by" in answer.text
    assert running.get("/evil").text.startswith("web ")


def test_a_certificate_with_a_large_key_is_refused_and_one_of_usual_size_is_taken(
    running: Controller, origin: Origin
) -> None:
    large, _ = make_certificate("evil.org", key="rsa4104")
    usual, _ = make_certificate("evil.org", key="rsa4096")
    answer = put(running, origin, serviceDomain="evil.org", serviceCert=large)

    assert answer.status == 400
    assert "its key has 4104 bits; RSA keys have at most 4096" in answer.text
    assert put(running, origin, serviceDomain="evil.org", serviceCert=usual).status == 200


def test_many_unknown_parameters_are_answered_at_once(running: Controller) -> None:
    begin = time.monotonic()
    unknown = {f"zq{number}z": "1" for number in range(9_000)}
    answer = fetch(running.port, f"/v1/reconfigure?{urlencode({'serviceName': 'evil', 'port': '80', **unknown})}")

    assert answer.status == 400
    assert "a service has at most 200" in answer.text
    assert time.monotonic() - begin < 2
