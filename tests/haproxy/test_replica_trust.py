"""Nobody but a replica of the proxy is taken for one."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import pytest
from controller import Answer, Controller, Origin, Running, fetch

from flowproxy.cluster.signature import HEADER, Call, sign

Origins = Callable[[str], Origin]

KEY = "a key that all replicas have"
TOKEN = "correct horse battery staple"  # noqa: S105
CREATED = "Flowproxy-Created"
SEND = "/v1/docker-flow-proxy/certs/send"


def reconfigure(
    controller: Controller,
    name: str,
    created: str,
    key: str | None = None,
    port: int | None = None,
    at: float = 0.0,
    headers: dict[str, str] | None = None,
) -> Answer:
    """A call that says when it was first made, signed if there is a key."""
    path, query = "/v1/docker-flow-proxy/reconfigure", {"serviceName": name, "servicePath": "/same", "port": "80"}
    query["outboundHostname"] = "127.0.0.1"
    sent = {CREATED: created} | (headers or {})
    if key is not None:
        sent[HEADER] = sign(key.encode(), Call.of("GET", path, query.items(), created, b""), at or time.time())
    return fetch(port or controller.port, f"{path}?{urlencode(query)}", headers=sent)


def created_of(controller: Controller, name: str, **headers: str) -> float:
    return float(fetch(controller.port, f"/v1/services/{name}", headers=headers).json["created"])


def test_a_stranger_does_not_make_a_service_older(running: Running[Controller]) -> None:
    """Neither directly nor through a route that leads to the API."""
    controller = running(FLOWPROXY_KEY=KEY)
    route = {"servicePath": "/", "port": str(controller.port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("api", **route).status == 200
    assert reconfigure(controller, "older", "").status == 200
    for number, port in enumerate((controller.port, controller.traffic)):
        assert reconfigure(controller, f"newer{number}", "1", port=port).status == 200
        assert created_of(controller, f"newer{number}") > created_of(controller, "older")


def test_without_a_key_every_replica_has_its_own_time(running: Running[Controller]) -> None:
    controller = running()
    begun = time.time()
    for number, created in enumerate(("1", "nan", "-inf")):
        assert reconfigure(controller, f"web{number}", created, key=KEY).status == 200
        assert created_of(controller, f"web{number}") >= begun


@pytest.mark.parametrize("variable", ["FLOWPROXY_KEY", "FLOWPROXY_API_TOKEN"])
def test_the_time_of_a_signed_call_counts(running: Running[Controller], variable: str) -> None:
    controller = running(**{variable: TOKEN})
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert reconfigure(controller, "web", "12345.5", key=TOKEN, headers=shown).status == 200
    assert created_of(controller, "web", **shown) == 12345.5
    assert reconfigure(controller, "late", str(time.time() + 1e6), key=TOKEN, headers=shown).status == 200
    assert created_of(controller, "late", **shown) <= time.time()
    for never in ("nan", "-inf", "inf", "-1", "yesterday", ""):
        answer = reconfigure(controller, "never", never, key=TOKEN, headers=shown)
        assert (answer.status, CREATED in answer.json["Message"]) == (400, True), never


def test_a_wrong_signature_is_refused(running: Running[Controller]) -> None:
    controller = running(FLOWPROXY_KEY=KEY)
    for wrong in (
        reconfigure(controller, "web", "1", key=TOKEN),
        reconfigure(controller, "web", "1", key=KEY, at=time.time() - 100),
        reconfigure(controller, "web", "1", key=KEY, at=time.time() + 100),
        reconfigure(controller, "web", "1", headers={HEADER: "1 abc"}),
        reconfigure(controller, "web", "1", headers={HEADER: "ab\u00e9"}),
    ):
        assert wrong.status == 403
        assert HEADER in wrong.json["Message"]
    assert controller.api("/v1/services/web").status == 404


@pytest.mark.parametrize("settings", [{}, {"FLOWPROXY_KEY": KEY}])
def test_certificates_are_not_sent_to_strangers(running: Running[Controller], settings: dict[str, str]) -> None:
    controller = running(**settings)
    route = {"servicePath": "/", "port": str(controller.port), "outboundHostname": "127.0.0.1"}
    assert controller.reconfigure("api", **route).status == 200
    for port in (controller.port, controller.traffic):
        answer = fetch(port, SEND, "POST")
        assert (answer.status, "only replicas" in answer.json["Message"]) == (403, True)


def test_an_overheard_call_does_not_send_certificates_elsewhere(running: Running[Controller]) -> None:
    controller = running(FLOWPROXY_KEY=KEY)
    query = "without=a.pem"
    signature = sign(KEY.encode(), Call.of("POST", SEND, parse_qsl(query), "", b""), time.time())
    answer = fetch(controller.port, f"{SEND}?{query}", "POST", {HEADER: signature})
    assert (answer.status, "127.0.0.1 is not a replica" in answer.json["Message"]) == (403, True)


def test_the_key_is_long_and_not_repeated(controller: Controller) -> None:
    controller.launch(FLOWPROXY_KEY="short-secret")
    assert controller.process
    assert controller.process.wait(30) == 1
    said = controller.log.read_text()
    assert "FLOWPROXY_KEY" in said
    assert "short-secret" not in said
