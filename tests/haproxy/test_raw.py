"""HAProxy configuration that a service writes itself: what each level takes, and what none does."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from controller import Answer, Controller, Origin, Running, fetch
from raw_lines import ALLOWED
from support import eventually, free_port

Origins = Callable[[str], Origin]

TOKEN = "correct horse battery staple"  # noqa: S105
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
CANARY = "canary-4711-of-a-file"


def _call(controller: Controller, parameters: dict[str, str], headers: dict[str, str] | None = None) -> Answer:
    given = {"serviceName": "web", "servicePath": "/", "port": "80", "outboundHostname": "127.0.0.1", **parameters}
    return fetch(controller.port, f"/v1/reconfigure?{urlencode(given)}", headers=headers)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "a-secret"
    file.write_text(f"{CANARY}\n")
    return file


@pytest.mark.parametrize("level", ["safe", "trusted"])
def test_a_header_to_delete_reads_no_file(running: Running[Controller], secret: Path, level: str) -> None:
    controller = running(FLOWPROXY_RAW_CONFIG=level)

    for parameter in ("delReqHeader", "delResHeader"):
        answer = _call(controller, {parameter: f"X-A if {{ src -f {secret} }}"})
        assert answer.status == 403, answer.text
        assert parameter in answer.json["Message"]
        assert CANARY not in answer.text
        assert _call(controller, {parameter: "X-A"}).status == 200


READING_FILES = [
    "http-request deny if {{ src -f {} }}",
    "http-request set-header X-A %[src,map_ip({})]",
    'acl x src "-f" {}',
    "errorfile 503 {}",
    "http-request return status 200 errorfile {}",
    "server x 127.0.0.1:80 ssl verify required ca-file {}",
]


def test_an_error_never_quotes_a_file_that_a_line_reads(running: Running[Controller], secret: Path) -> None:
    controller = running()

    for line in READING_FILES:
        answer = _call(controller, {"backendExtra": line.format(secret)})
        assert answer.status == 400, answer.text
        said = "backendExtra: service web: HAProxy rejects a line that reads a file"
        assert said in answer.json["Message"]
        assert CANARY not in answer.text + controller.log.read_text() + json.dumps(controller.status)


def test_whatever_safe_allows_haproxy_accepts(running: Running[Controller], origin: Origins) -> None:
    controller = running(FLOWPROXY_RAW_CONFIG="safe")
    port = str(origin("web").port)
    acls = [line for line in ALLOWED if line.startswith("acl ")]
    rest = [line for line in ALLOWED if line not in acls and not line.startswith(("http-request allow", "option"))]

    answer = _call(controller, {"port": port, "backendExtra": "\n".join(acls + rest), "servicePath": "/x"})

    assert answer.status == 200, answer.text
    answer = _call(controller, {"port": port, "backendExtra": "http-request set-header X-Mine %[path,lower]"})
    assert answer.status == 200, answer.text
    assert "x-mine: /a" in controller.get("/A").text


DANGEROUS = [
    "stats admin if TRUE",
    "http-request set-map(maps/exact.map) other.org/ web-be80_0",
    "http-request return status 200 content-type text/plain lf-file /etc/passwd",
    "http-request set-header X-A %[env(HOME)]",
    "http-request use-service prometheus-exporter",
    "server x 127.0.0.1:80",
]


def test_safe_refuses_what_could_hurt_others_and_says_so(controller: Controller) -> None:
    controller.start(FLOWPROXY_API_TOKEN=TOKEN, FLOWPROXY_RAW_CONFIG="trusted")

    for line in DANGEROUS:
        answer = _call(controller, {"backendExtra": line}, SHOWN)
        assert answer.status == 403, answer.text
        assert "FLOWPROXY_RAW_CONFIG=all" in answer.json["Message"]
    assert controller.get("/").status == 503


def test_the_environment_is_the_operators_own(controller: Controller) -> None:
    controller.start(
        FLOWPROXY_RAW_CONFIG="",
        DFP_SERVICE_SERVICE_NAME="web",
        DFP_SERVICE_SERVICE_PATH="/",
        DFP_SERVICE_PORT="80",
        DFP_SERVICE_OUTBOUND_HOSTNAME="127.0.0.1",
        DFP_SERVICE_BACKEND_EXTRA="http-request return status 200 content-type text/plain lf-file /proc/version",
    )

    assert controller.get("/").status == 200
    assert _call(controller, {"serviceName": "more", "backendExtra": "balance first"}).status == 403


def test_what_was_taken_with_the_token_is_there_after_a_restart(controller: Controller, origin: Origins) -> None:
    guarded = {"FLOWPROXY_API_TOKEN": TOKEN, "FLOWPROXY_RAW_CONFIG": ""}
    controller.start(**guarded)
    extra = "http-request set-header X-Mine yes"
    assert _call(controller, {"port": str(origin("web").port), "backendExtra": extra}, SHOWN).status == 200
    controller.end()

    controller.start(**guarded)

    assert "x-mine: yes" in eventually(lambda: controller.get("/")).text


SOCKETS = [
    "server x {folder}/haproxy.sock",
    "server x '{folder}/haproxy.sock'",
    "server x unix@{folder}/haproxy.sock",
    "server x u'ni'x@{folder}/haproxy.sock",
    r"server x \x2f{relative}/haproxy.sock",
    "server x {folder}/master.sock",
    "server x '${{HAPROXY_CLI}}'",
    "server x '${{HAPROXY_MASTER_CLI}}'",
    "server x ${{HAPROXY_MASTER_CLI}}",
    "server-template x 1 {folder}/haproxy.sock",
    "dispatch {folder}/haproxy.sock",
    "option tcp-check\ntcp-check connect addr {folder}/haproxy.sock\ntcp-check send shutdown",
    "server x abns@{local}-80",
    "server x fd@3",
    "server x sockpair@3",
    "log {folder}/haproxy.sock local0",
]


def test_no_backend_reaches_haproxys_own_sockets(running: Running[Controller]) -> None:
    controller = running()
    port = free_port()
    folder = controller.folder

    for line in SOCKETS:
        extra = line.format(folder=folder, relative=str(folder)[1:], local="0" * 16)
        answer = _call(controller, {"reqMode": "tcp", "srcPort": str(port), "backendExtra": extra})
        assert answer.status == 400, answer.text
        assert "backendExtra" in answer.json["Message"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 2)


def test_a_template_reaches_no_socket_either(running: Running[Controller], tmp_path: Path) -> None:
    controller = running()
    template = tmp_path / "be.tmpl"
    template.write_text(
        "backend {{ backends[0].name }}\n    server x {{ 'un' }}ix@" + str(controller.folder / "haproxy.sock") + "\n"
    )

    answer = _call(controller, {"templateBePath": str(template)})

    assert answer.status == 500, answer.text
    assert "local socket" in answer.json["Message"]
    assert controller.get("/").status == 503
