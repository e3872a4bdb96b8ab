"""The same through a real HAProxy: what a hostile value does, it does to its own service at most."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from controller import Answer, Controller, Origin, fetch, origins
from hostile import HOSTILE, PLAIN, Hostile
from hypothesis import HealthCheck, example, given, settings
from support import eventually, free_port, rounds

from flowproxy.services.parse import DEPRECATED

Origins = Callable[[str], Origin]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A controller with two services that an attacker would like to get at."""
    controller = Controller(tmp_path_factory.mktemp("hostile") / "state")
    with origins() as start:
        port = str(start("other").port)
        try:
            ports = f"{controller.traffic},{free_port()}:ssl"
            controller.start(
                DEFAULT_PORTS=ports,
                DO_NOT_RESOLVE_ADDR="true",
                FLOWPROXY_TIDY_AFTER="3600",
                FLOWPROXY_RAW_CONFIG="safe",
            )
            for name in ("a.first", "zz.last"):
                given = {"serviceName": name, "servicePath": f"/{name}", "serviceHeader": "X-Mine:1", "port": port}
                assert _call(controller, "reconfigure", {**given, "outboundHostname": "127.0.0.1"}).status == 200
            yield controller
        finally:
            controller.end()


@pytest.mark.longer
@settings(max_examples=rounds(40, soak=400), deadline=None, suppress_health_check=list(HealthCheck))
@given(HOSTILE)
@example(Hostile("servicePath", "/" + "x" * 3000))
@example(Hostile("addReqHeader", "X-Evil \\"))
@example(Hostile("addReqHeader", "X-Evil ${HOME} \"${HOME}\" '${HOME}'"))
@example(Hostile("backendExtra", "http-request set-header X-Evil \\\n"))
@example(Hostile("users", 'admin:it\'s "$HOME" \\ # %[src]'))
@example(Hostile("backendExtra", "http-request set-var(txn.route) str(a.first-be80)"))
@example(Hostile("backendExtra", "http-request set-map(maps/exact.map) /a.first evil"))
@example(Hostile("delReqHeader", "X-Evil if { path -f /etc/passwd }"))
@example(Hostile("compressionAlgo", "\x85"))
@example(Hostile("templateBePath", "//.."))
@example(Hostile("serviceCert", PLAIN["serviceCert"]))
@example(Hostile("reqPathSearchReplace", '/a b,/it\'s "$1" \\ %[src] ]'))
def test_a_hostile_value_hurts_at_most_its_own_service(attacked: Controller, hostile: Hostile) -> None:
    before = _sections(attacked)
    status = attacked.status
    plain = {"serviceName": "evil", "servicePath": "/evil", "port": "80", "outboundHostname": "127.0.0.1"}
    evil = plain | {hostile.parameter: hostile.value}
    answer = _call(attacked, "reconfigure", evil)

    assert answer.status in (200, 400, 403, 409, 500), answer.text
    if answer.status != 200:
        names = (hostile.parameter, DEPRECATED.get(hostile.parameter, "servicePath"))
        assert any(name in answer.json["Message"] for name in names), answer.text
    after = _sections(attacked)
    for name in ("a.first", "zz.last"):
        assert after[name] == before[name]
        assert attacked.get(f"/{name}", X_Mine="1").text.startswith("other ")
    eventually(lambda: attacked.status["quarantined"] == {})  # a refused call is undone in a round of its own
    assert attacked.status["failure"] is None
    assert attacked.status["haproxy"]["pid"] == status["haproxy"]["pid"]
    assert _call(attacked, "remove", {"serviceName": "evil"}).status == 200


def _call(controller: Controller, call: str, query: dict[str, str]) -> Answer:
    return fetch(controller.port, f"/v1/{call}?{urlencode(query, errors='surrogatepass')}")


def _sections(controller: Controller) -> dict[str, str]:
    text = (controller.folder / "haproxy.cfg").read_text()
    found = re.findall(r"^# service (\S+)\nbackend [^\n]*\n((?:    [^\n]*\n)*)", text, re.MULTILINE)
    return dict(found)


AWKWARD = 'it\'s "$HOME" ${PATH} \\ # %[src] 50% é'


def test_what_looks_special_arrives_as_it_was_written(controller: Controller, origin: Origins) -> None:
    controller.start(SEPARATOR="|")
    given = {
        "serviceName": "web",
        "servicePath": "/a%20b|/web",
        "port": str(origin("web").port),
        "outboundHostname": "127.0.0.1",
        "users": f"admin:{AWKWARD.replace(',', '')}",
        "setReqHeader": 'X-Price "$5 for \\"#1\\", 50%% off ${HOME}"',
        "userAgent": 'it\'s # "$1"',
        "serviceHeader": "X-Odd:${HOME} 'a' \"b\" # \\",
        "reqPathSearchReplace": r"/web/(it's) \"\$1\",/(\1) $HOME #",
    }
    assert _call(controller, "reconfigure", given).status == 200
    secret = base64.b64encode(f"admin:{AWKWARD}".encode()).decode()
    headers = {
        "Authorization": f"Basic {secret}",
        "User-Agent": 'agent it\'s # "$1"',
        "X-Odd": "${HOME} 'a' \"b\" # \\",
    }

    answer = controller.get("/a%20b/c", **headers)
    assert answer.status == 200
    assert 'x-price: $5 for "#1", 50% off ${HOME}' in answer.text
    assert controller.get("/web", **{**headers, "X-Odd": "other"}).status == 503
    assert controller.get("/web", **{**headers, "Authorization": "Basic YTpi"}).status == 401
