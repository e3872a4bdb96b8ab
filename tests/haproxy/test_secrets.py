"""No way to give a secret lets anybody read it: not in an answer, not in an error, not in the log."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from controller import Answer, Controller, Origin, Running, fetch

Origins = Callable[[str], Origin]

CANARY = "swordfish-4711"
WAYS: dict[str, dict[str, str]] = {
    "users": {"users": f"admin:{CANARY}"},
    "header-to-match": {"serviceHeader": f"Authorization:Bearer {CANARY}"},
    "key-to-match": {"serviceHeader": f"X-Api-Key:{CANARY}"},
    "header-added": {"addReqHeader": f"X-Api-Key {CANARY}"},
    "header-of-old": {"setHeader": f"Proxy-Authorization Basic:{CANARY}"},
    "header-set": {"setReqHeader": f'Authorization "Basic {CANARY}"'},
    "header-of-answers": {"addResHeader": f"Set-Cookie id={CANARY}"},
    "header-quoted": {"setReqHeader": f"X-Client-Secret 'x {CANARY}' if {{ path /a }}"},
    "extra": {"backendExtra": f"http-request set-header Authorization {CANARY}"},
    "extra-quoted": {"backendExtra": f'http-request set-header "Authorization" "Basic {CANARY}"'},
    "extra-hidden": {"backendExtra": rf"http-request set-header \x41uth'or'ization Basic\ {CANARY}"},
    "extra-comment": {"backendExtra": f"http-request set-header X-A 1 # the token is: {CANARY}"},
    "extra-compared": {"backendExtra": f"http-request deny unless {{ req.hdr(X-Token) -m str {CANARY} }}"},
    "extra-cookie": {"backendExtra": f"acl known req.cook(id) -m str {CANARY}"},
    "extra-variable": {"backendExtra": f"http-request set-var(txn.token) str({CANARY})"},
    "extra-url": {"backendExtra": f"http-request redirect location https://admin:{CANARY}@a.org/ if {{ path /a }}"},
    "extra-check": {"backendExtra": f"http-check send meth GET uri / hdr Authorization {CANARY}"},
    "extra-statistics": {"backendExtra": f"stats enable\nstats uri /stats\nstats auth admin:{CANARY}"},
    "unknown": {"secondPassword": CANARY},
}
# What the call, or HAProxy, refuses.
WRONG: dict[str, dict[str, str]] = {
    "header-to-match": {"serviceHeader": f"Authorization Bearer {CANARY}"},
    "header-set": {"setReqHeader": f"X-Api-Key= {CANARY}"},
    "header-unfinished": {"setReqHeader": f'Authorization "Basic {CANARY}'},
    "header-too-long": {"setReqHeader": f"Authorization Basic {CANARY}"},
    "header-format": {"setReqHeader": f'Authorization "%[no-such-fetch] {CANARY}"'},
    "extra-keyword": {"backendExtra": f'"http-request" set-header Authorization {CANARY}'},
    "extra-fetch": {"backendExtra": f'http-request set-header "Authorization" "%[no-such] {CANARY}"'},
    "extra-words": {"backendExtra": f"http-request set-header X-Token {CANARY} {CANARY}"},
    "extra-compared": {"backendExtra": f"http-request deny if {{ req.hdr(X-Token) -m no {CANARY} }}"},
    "extra-signed": {"backendExtra": f"http-request set-header X-A %[path,hmac(sha256,{CANARY}),hex]"},
    "extra-section": {"backendExtra": f"userlist x\nuser admin password {CANARY}"},
    "users": {"users": f"admin:{CANARY}\x01"},
    "users-hash": {"users": f"admin:$9${CANARY}", "usersPassEncrypted": "maybe"},
}
LEVELS = ["safe", "all"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_secret_is_in_no_answer_and_not_in_the_log(running: Running[Controller], origin: Origins, level: str) -> None:
    controller = running(FLOWPROXY_RAW_CONFIG=level)
    port = str(origin("web").port)
    said = [_call(controller, name, port, parameters) for name, parameters in WAYS.items()]
    # The same again for a route that is taken already: conflicts name routes.
    said += [_call(controller, f"{name}-again", port, {"servicePath": f"/{name}", **WAYS[name]}) for name in WAYS]
    assert level == "safe" or [answer.text for answer in said if answer.status != 200] == []
    said += [_call(controller, f"wrong-{name}", port, parameters) for name, parameters in WRONG.items()]
    assert {answer.status for answer in said} <= {200, 400, 403, 500}
    said += [
        fetch(controller.port, path)
        for path in (
            "/v1/config",
            "/v1/config?type=json",
            "/v1/services",
            *(f"/v1/services/{name}" for name in [*WAYS, *(f"wrong-{name}" for name in WRONG)]),
            "/v1/routes",
            "/v1/status",
            *(f"/v1/explain?url=http://a.org/{name}" for name in WAYS),
            f"/v1/explain?url=http://admin:{CANARY}@a.org/",
            "/v1/docker-flow-swarm-listener/get-services",
            "/v1/docker-flow-proxy/metrics",
            "/v1/docker-flow-proxy/certs",
            "/metrics",
        )
    ]

    assert [answer.text for answer in said if CANARY in answer.text] == []
    assert CANARY not in controller.log.read_text()
    assert sum("(hidden)" in answer.text for answer in said) > len(WAYS)


def test_a_hidden_secret_still_works(running: Running[Controller], origin: Origins) -> None:
    controller = running()
    port = str(origin("web").port)
    assert _call(controller, "web", port, {"serviceHeader": f"X-Api-Key:{CANARY}"}).status == 200
    assert _call(controller, "upstream", port, WAYS["extra-hidden"]).status == 200

    assert controller.get("/web", X_Api_Key=CANARY).status == 200
    assert controller.get("/web", X_Api_Key="another").status == 503
    assert f"authorization: Basic {CANARY}" in controller.get("/upstream").text


def _call(controller: Controller, name: str, port: str, parameters: dict[str, str]) -> Answer:
    given = {
        "serviceName": name,
        "servicePath": f"/{name}",
        "port": port,
        "outboundHostname": "127.0.0.1",
        **parameters,
    }
    return fetch(controller.port, f"/v1/reconfigure?{urlencode(given)}")
