"""Who may call the API, what it never reveals, and how much a caller can ask of it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from certificates import make_certificate
from controller import Answer, Controller, Origin, Running, Tls, fetch
from support import eventually

Origins = Callable[[str], Origin]

TOKEN = "correct horse battery staple"  # noqa: S105
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
PASSWORD = "swordfish-4711"  # noqa: S105

CHANGING_OR_SHOWING = [
    "/v1/docker-flow-proxy/reconfigure?serviceName=web&servicePath=/&port=80&outboundHostname=127.0.0.1",
    "/v1/reconfigure?serviceName=web&servicePath=/&port=80&outboundHostname=127.0.0.1",
    "/v1/reconfigure/?serviceName=web&servicePath=/&port=80&outboundHostname=127.0.0.1",
    "/v1/remove?serviceName=web",
    "/v1/reload",
    "/v1/config",
    "/v1/config?type=json",
    "/v1/docker-flow-proxy/certs",
    "/v1/docker-flow-proxy/metrics",
    "/v1/docker-flow-swarm-listener/get-services",
    "/v1/services",
    "/v1/services/web",
    "/v1/routes",
    "/v1/explain?url=http://a.org/",
]
OPEN = [
    "/v1/ping",
    "/v1/docker-flow-proxy/ping",
    "/v1/test",
    "/v1/status",
    "/v1/docker-flow-proxy/successfulinitreload",
    "/v1/docker-flow-swarm-listener/notify-services",
    "/metrics",
]


def test_with_a_token_whatever_changes_or_shows_something_needs_it(running: Running[Controller]) -> None:
    controller = running(FLOWPROXY_API_TOKEN=TOKEN)
    wrong = [
        None,
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
    ]

    for path in CHANGING_OR_SHOWING:
        for headers in wrong:
            answer = fetch(controller.port, path, headers=headers)
            assert (answer.status, answer.headers.get("WWW-Authenticate")) == (401, "Bearer"), path
        assert fetch(controller.port, path, headers=SHOWN).status not in (401, 403), path
    assert fetch(controller.port, "/v1/cert?certName=a.pem", "PUT").status == 401


def test_what_only_asks_whether_we_live_is_open(running: Running[Controller]) -> None:
    controller = running(FLOWPROXY_API_TOKEN=TOKEN)

    assert {path: fetch(controller.port, path).status for path in OPEN} == dict.fromkeys(OPEN, 200)
    assert fetch(controller.port, "/v1/status").json.keys() == {"version", "ready"}
    assert fetch(controller.port, "/v1/status", headers=SHOWN).json["quarantined"] == {}


def test_metrics_can_be_closed(controller: Controller) -> None:
    controller.start(FLOWPROXY_API_TOKEN=TOKEN, FLOWPROXY_METRICS_OPEN="false")

    assert fetch(controller.port, "/metrics").status == 401
    assert fetch(controller.port, "/metrics", headers=SHOWN).status == 200


def test_the_token_can_be_a_secret(tls: Tls) -> None:
    (tls.secrets / "flowproxy_api_token").write_text(f"{TOKEN}\n")
    tls.begin()

    assert fetch(tls.port, "/v1/config").status == 401
    assert fetch(tls.port, "/v1/config", headers=SHOWN).status == 200
    assert TOKEN not in tls.log.read_text()


def test_a_token_that_is_too_short_stops_the_start_and_is_not_repeated(controller: Controller) -> None:
    controller.launch(FLOWPROXY_API_TOKEN="abcdef7")

    assert controller.process
    assert controller.process.wait(20) == 1
    log = controller.log.read_text()
    assert "FLOWPROXY_API_TOKEN" in log
    assert "abcdef7" not in log


def test_without_a_token_the_start_and_the_status_warn(controller: Controller) -> None:
    controller.start()

    assert "set FLOWPROXY_API_TOKEN" in controller.status["warnings"][0]
    assert "API not protected" in controller.log.read_text()


RAW = [
    {"backendExtra": "http-request deny"},
    {"templateBePath": "/tmp/be.tmpl"},
    {"setReqHeader": "X-Secret %[str(a),map(/run/secrets/b)]"},
    {"setReqHeader": "X-Secret %[str(a),\"ma\"'p'(/run/secrets/b)]"},
    {"addResHeader": r"X-Secret %[str(a),\x6dap(/run/secrets/b)]"},
    {"addReqHeader": "X-Secret yes if { path -f /run/secrets/b }"},
    {"setResHeader": "X-Secret %[env(HOME)]"},
]


@pytest.mark.parametrize(
    ("raw_config", "token", "status"),
    [
        ("trusted", None, 403),
        ("", None, 403),
        ("none", TOKEN, 403),
        ("trusted", TOKEN, 200),
        ("", TOKEN, 200),
        ("safe", None, 200),
        ("all", None, 200),
    ],
)
def test_who_may_write_haproxy_configuration_by_api(
    running: Running[Controller], raw_config: str, token: str | None, status: int
) -> None:
    guarded = {"FLOWPROXY_API_TOKEN": token} if token else {}
    controller = running(FLOWPROXY_RAW_CONFIG=raw_config, SEPARATOR="|", **guarded)

    assert _reconfigure(controller, "web", SHOWN, **RAW[0]).status == status
    for parameters in RAW[1:] if raw_config != "all" else ():
        answer = _reconfigure(controller, "web", SHOWN, **parameters)
        assert answer.status == 403, answer.text
        assert next(iter(parameters)) in answer.json["Message"]
    assert _reconfigure(controller, "plain", SHOWN, setReqHeader='X-Plain "%[src] 50%%" if { path /a }').status == 200


def test_nobody_writes_haproxy_configuration_where_that_is_off(controller: Controller) -> None:
    controller.launch(
        FLOWPROXY_RAW_CONFIG="none",
        DFP_SERVICE_SERVICE_NAME="web",
        DFP_SERVICE_SERVICE_PATH="/",
        DFP_SERVICE_PORT="80",
        DFP_SERVICE_BACKEND_EXTRA="http-request deny",
    )

    assert controller.process
    assert controller.process.wait(20) == 1
    assert "backendExtra: is HAProxy configuration" in controller.log.read_text()


def test_haproxy_knows_nothing_of_our_environment(controller: Controller, origin: Origins) -> None:
    controller.start(USERS=f"admin:{PASSWORD}")
    _reconfigure(
        controller,
        "web",
        {},
        port=str(origin("web").port),
        ignoreAuthorization="true",
        setResHeader="X-Env [%[env(USERS)]]",
    )

    assert controller.get("/").headers["x-env"] == "[]"


def test_passwords_and_keys_are_in_no_answer_no_log_and_no_error(tls: Tls) -> None:
    pem, _ = make_certificate("a.org")
    tls.begin(STATS_USER="admin", STATS_PASS=PASSWORD, USERS=f"root:{PASSWORD}", FLOWPROXY_API_TOKEN=TOKEN)
    flat = pem.replace("\n", "\\n")
    said = [
        _reconfigure(tls, "web", SHOWN, users=f"admin:{PASSWORD}", serviceCert=flat, serviceDomain="a.org"),
        _reconfigure(tls, "more", SHOWN, Users=f"admin:{PASSWORD}", setReqHeader=f"Authorization Basic:{PASSWORD}"),
        _reconfigure(tls, "odd", SHOWN, users=f"admin:{PASSWORD}\x01"),
        _reconfigure(tls, "hash", SHOWN, users=f"admin:$9$no-such-hash-{PASSWORD}", usersPassEncrypted="true"),
        _reconfigure(tls, "cert", SHOWN, serviceCert=flat.replace("-----END CERT", "")),
        _put_certificate(tls, "b.org.pem", pem),
        _put_certificate(tls, "c.org.pem", pem.replace("-----END CERT", "")),
    ]
    assert [answer.status for answer in said] == [200, 200, 400, 200, 400, 200, 400], [answer.text for answer in said]
    said += [fetch(tls.port, path, headers=SHOWN) for path in (*CHANGING_OR_SHOWING, *OPEN) if "reconf" not in path]
    said += [fetch(tls.port, f"/v1/services/{name}", headers=SHOWN) for name in ("more", "hash", "cert")]
    told = "\n".join(answer.text for answer in said) + tls.log.read_text()

    assert "BEGIN CERTIFICATE" in told
    assert "(hidden)" in told
    keys = [line for line in pem.partition("PRIVATE KEY-----")[2].splitlines() if line and "-----" not in line]
    for secret in (PASSWORD, TOKEN, "PRIVATE KEY", *keys):
        assert secret not in told


def test_nobody_else_on_the_machine_reads_what_is_written(tls: Tls) -> None:
    pem, _ = make_certificate("a.org")
    tls.begin(STATS_USER="admin", STATS_PASS=PASSWORD)
    tls.put_certificate("a.org.pem", pem)

    assert tls.folder.stat().st_mode & 0o777 == 0o700
    written = [path for folder in (tls.folder, tls.certs) for path in folder.rglob("*")]
    assert {path.name for path in written} >= {
        "haproxy.cfg",
        "a.org.pem",
        "master.sock",
        "haproxy.sock",
        "crt-list.txt",
    }
    assert [path for path in written if path.lstat().st_mode & 0o077] == []


def test_calls_that_are_too_large_are_refused(running: Running[Controller]) -> None:
    controller = running()

    assert fetch(controller.port, f"/v1/reconfigure?serviceName={'x' * 300_000}").status == 400
    assert fetch(controller.port, "/v1/ping", headers={"X-Large": "x" * 20_000}).status == 400
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=20)
    connection.request("PUT", "/v1/cert?certName=a.pem", body="x" * 2_000_000)
    assert connection.getresponse().status == 413
    assert controller.status["ready"]


def test_clients_that_never_finish_asking_are_cut_off(running: Running[Controller]) -> None:
    controller = running()
    beginnings = [
        b"",
        b"GET /v1/ping HT",
        b"GET /v1/ping HTTP/1.1\r\nHost: a\r\n",
        b"PUT /v1/cert?certName=a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    ]
    waiting = []
    for beginning in beginnings:
        connection = socket.create_connection(("127.0.0.1", controller.port), 40)
        connection.sendall(beginning)
        waiting.append(connection)

    for connection in waiting:
        last = b""
        while part := connection.recv(4096):
            last = part
        assert last == b"" or b"408" in last
        connection.close()


def test_the_api_speaks_tls_if_it_is_given_a_certificate(tls: Tls) -> None:
    pem, _ = make_certificate("proxy")
    (tls.secrets / "api.pem").write_text(pem)
    tls.launch(FLOWPROXY_API_CERT=str(tls.secrets / "api.pem"))
    context = ssl.create_default_context(cadata=pem.partition("\n\n")[0])

    def ready() -> bool:
        with socket.create_connection(("127.0.0.1", tls.port), 5) as plain:
            connection = http.client.HTTPConnection("proxy", tls.port)
            connection.sock = context.wrap_socket(plain, server_hostname="proxy")
            connection.request("GET", "/v1/status")
            return bool(json.loads(connection.getresponse().read())["ready"])

    eventually(ready)
    healthcheck = subprocess.run(
        [sys.executable, "-m", "flowproxy", "healthcheck"],
        env=tls.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert healthcheck.returncode == 0, healthcheck.stderr


def test_a_flood_of_calls_leaves_room_for_others(running: Running[Controller], origin: Origins) -> None:
    """Of heavy ones: many services are listed by many clients at once while others change something."""
    controller = running()
    port = str(origin("web").port)
    for number in range(100):
        _reconfigure(controller, f"s{number}", {}, port=port, servicePath=f"/s{number}")
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            fetch(controller.port, "/v1/services")

    floods = [threading.Thread(target=flood) for _ in range(16)]
    for thread in floods:
        thread.start()
    try:
        begun = time.monotonic()
        for number in range(5):
            assert _reconfigure(controller, f"late{number}", {}, port=port, servicePath=f"/late{number}").status == 200
        taken = (time.monotonic() - begun) / 5
    finally:
        stop.set()
        for thread in floods:
            thread.join()
    assert taken < 5, f"{taken:.2f} s"


def _reconfigure(controller: Controller, name: str, headers: dict[str, str], **parameters: str) -> Answer:
    given = {
        "serviceName": name,
        "servicePath": f"/{name}",
        "port": "80",
        "outboundHostname": "127.0.0.1",
        **parameters,
    }
    if name == "web":
        given["servicePath"] = "/"
    return fetch(controller.port, f"/v1/reconfigure?{urlencode(given)}", headers=headers)


def _put_certificate(controller: Controller, name: str, pem: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=20)
    connection.request("PUT", f"/v1/cert?certName={name}", body=pem, headers=SHOWN)
    answer = connection.getresponse()
    return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
