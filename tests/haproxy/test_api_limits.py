"""What one client of the API can use up: connections, file descriptors, processor time, the log."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from certificates import make_certificate
from controller import Answer, Controller, Origin, Running, Tls, fetch, requests_all_the_time
from support import eventually

Origins = Callable[[str], Origin]

TOKEN = "correct horse battery staple"  # noqa: S105
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
FEW_FILES = ("sh", "-c", 'ulimit -n 1024; exec "$@"', "sh")


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """For the clients."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def idle_connections(port: int, number: int, beginning: bytes = b"") -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [_connect(stack, port, beginning) for _ in range(number)]


def _connect(stack: contextlib.ExitStack, port: int, beginning: bytes) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
    if beginning:
        with contextlib.suppress(OSError):
            connection.sendall(beginning)
    return connection


def _clients_of(controller: Controller) -> set[int]:
    """The ports of the clients that are connected to the API."""
    assert controller.process
    connections = psutil.Process(controller.process.pid).net_connections("tcp4")
    return {found.raddr.port for found in connections if found.raddr and found.laddr.port == controller.port}


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /v1/ping HTTP/1.1\r\nHost: a\r\n",
        b"POST /v1/ping HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
    ],
    ids=["nothing", "no end of the head", "no body"],
)
def test_idle_connections_keep_nobody_else_out(
    controller: Controller, origin: Origins, token: str, beginning: bytes
) -> None:
    controller.wrapper = FEW_FILES
    controller.start(FLOWPROXY_API_TOKEN=token)
    port = str(origin("web").port)
    path = f"/v1/reconfigure?serviceName=web&servicePath=/web&port={port}&outboundHostname=127.0.0.1"
    assert fetch(controller.port, path, headers=SHOWN).status == 200
    before = controller.log.stat().st_size

    with requests_all_the_time(controller.traffic, "/web") as statuses:
        with idle_connections(controller.port, 1100, beginning):
            for number in range(5):
                begun = time.monotonic()
                assert fetch(controller.port, "/v1/ping").status == 200
                more = path.replace("serviceName=web", f"serviceName=more{number}")
                assert fetch(controller.port, more, headers=SHOWN).status == 200
                assert time.monotonic() - begun < 2
            assert len(_clients_of(controller)) <= 512
        eventually(lambda: len(statuses) > 50)
    assert set(statuses) == {200}
    assert controller.process
    assert controller.process.poll() is None
    written = controller.log.read_bytes()[before:].decode()
    assert len(written.splitlines()) < 40, written
    assert "Traceback" not in written


def test_the_connection_that_waits_for_its_answer_is_not_the_one_that_is_ended(controller: Controller) -> None:
    controller.start(FLOWPROXY_API_CONNECTIONS="16", RECONFIGURE_ATTEMPTS="3")
    path = "/v1/reconfigure?serviceName=web&servicePath=/web&port=80&outboundHostname=no-such-name.invalid"
    with socket.create_connection(("127.0.0.1", controller.port), 20) as waiting:
        waiting.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        eventually(lambda: b"no-such-name" in controller.log.read_bytes())
        with idle_connections(controller.port, 100):
            assert fetch(controller.port, "/v1/ping").status == 200
            assert waiting.makefile("rb").readline().split()[1] == b"500"


def test_a_setting_limits_the_connections(controller: Controller) -> None:
    controller.start(FLOWPROXY_API_CONNECTIONS="20")
    with idle_connections(controller.port, 200):
        assert fetch(controller.port, "/v1/ping").status == 200
        assert len(_clients_of(controller)) <= 20


def test_the_file_limit_is_raised_for_haproxy_too(controller: Controller) -> None:
    controller.wrapper = ("sh", "-c", 'ulimit -S -n 256; ulimit -H -n 4096; exec "$@"', "sh")
    controller.start()
    assert controller.process
    assert resource.prlimit(controller.process.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
    assert int(_info(controller, "Maxconn")) > 1000


def _info(controller: Controller, field: str) -> str:
    lines = dict(line.split(": ", 1) for line in controller.ask("show info").splitlines() if ": " in line)
    return lines[field]


def test_without_file_descriptors_everything_stays_as_it_is(controller: Controller, origin: Origins) -> None:
    (controller.folder.parent / "certs").mkdir()
    controller.start()
    port = str(origin("web").port)
    assert controller.reconfigure("web", servicePath="/web", port=port, outboundHostname="localhost").status == 200
    assert controller.process
    pid, files = controller.process.pid, resource.RLIMIT_NOFILE
    before, written = resource.prlimit(pid, files), controller.log.stat().st_size
    call = "/v1/reconfigure?serviceName=more&servicePath=/more&port=80&outboundHostname=127.0.0.1"
    kept = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=20)
    kept.request("GET", "/v1/ping")
    kept.getresponse().read()

    resource.prlimit(pid, files, (3, before[1]))
    try:
        for path in (call, "/v1/status", "/v1/reload"):
            kept.request("GET", path)
            answer = kept.getresponse()
            answer.read()
            assert answer.status >= (200 if path == "/v1/status" else 500)
        with idle_connections(controller.port, 20):
            eventually(lambda: "connection to the API not accepted" in controller.log.read_text())
            (controller.folder.parent / "certs" / "new.pem").touch()
            eventually(lambda: "certificate folder unreadable" in controller.log.read_text())
            assert controller.get("/web").status == 200
    finally:
        resource.prlimit(pid, files, before)

    eventually(lambda: controller.api(call).status == 200)
    eventually(lambda: controller.status["failure"] is None)
    assert (controller.get("/web").status, controller.process.poll()) == (200, None)
    lines = controller.log.read_bytes()[written:].decode().splitlines()
    assert len(lines) < 60, lines


def test_haproxy_that_dies_without_file_descriptors_left_is_started_later(
    controller: Controller, origin: Origins
) -> None:
    controller.start()
    port = str(origin("web").port)
    assert controller.reconfigure("web", servicePath="/web", port=port, outboundHostname="127.0.0.1").status == 200
    assert controller.process
    pid, files = controller.process.pid, resource.RLIMIT_NOFILE
    before, master = resource.prlimit(pid, files), controller.status["haproxy"]["pid"]
    resource.prlimit(pid, files, (3, before[1]))
    os.kill(master, signal.SIGKILL)
    eventually(lambda: "haproxy died" in controller.log.read_text())
    eventually(lambda: "haproxy restart failed" in controller.log.read_text())
    resource.prlimit(pid, files, before)

    eventually(lambda: controller.get("/web").status == 200, within=20)
    assert controller.process.poll() is None


def test_a_client_that_does_not_read_its_answer_is_cut_off(running: Running[Controller]) -> None:
    controller = running()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", controller.port))
        request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
        connection.settimeout(2)
        with contextlib.suppress(OSError):
            while True:  # until neither side takes more
                connection.sendall(request * 100)
        ours = connection.getsockname()[1]
        assert ours in _clients_of(controller)
        eventually(lambda: ours not in _clients_of(controller), within=40)


def test_a_handshake_that_stalls_is_ended(tls: Tls) -> None:
    pem, _ = make_certificate("proxy")
    (tls.secrets / "api.pem").write_text(pem)
    tls.launch(FLOWPROXY_API_CERT=str(tls.secrets / "api.pem"), FLOWPROXY_API_CONNECTIONS="64")
    eventually(lambda: "ready" in _status_by_tls(tls))
    begun = time.monotonic()
    with idle_connections(tls.port, 1) as (connection,):
        assert connection.recv(1) == b""
    assert 4 < time.monotonic() - begun < 8

    with idle_connections(tls.port, 300):
        eventually(lambda: "ready" in _status_by_tls(tls))
        assert len(_clients_of(tls)) <= 64


def _status_by_tls(tls: Tls) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", tls.port, timeout=5)
    connection.sock = tls.connect_to(tls.port)
    connection.request("GET", "/v1/status")
    return connection.getresponse().read().decode()


BOMB = gzip.compress(bytes(800_000_000), 9)


def send(controller: Controller, path: str, body: bytes, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body=body, headers=named)
    answer = connection.getresponse()
    return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))


def _processor_seconds(controller: Controller) -> float:
    assert controller.process
    used = psutil.Process(controller.process.pid).cpu_times()
    return used.user + used.system


def test_a_compressed_body_is_not_unpacked(running: Running[Controller]) -> None:
    controller = running()
    before = _processor_seconds(controller)
    answer = send(controller, "/v1/ping", BOMB, Content_Encoding="gzip")
    assert answer.status == 415
    assert "Content-Encoding" in answer.json["Message"]
    assert _processor_seconds(controller) - before < 0.3


COSTLY: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "many keys": ("", "&".join(f"k{n}=" for n in range(100_000)).encode()[:1_000_000], {}),
    "many empty keys": ("", b"&" * 1_000_000, {}),
    "a long query": ("?" + "&".join(f"{n}=" for n in range(40_000))[:250_000], b"", {}),
    "many escapes in the query": ("?a=" + "%41" * 80_000, b"", {}),
    "many escapes in the path": ("/" + "%41" * 80_000, b"", {}),
    "many slashes": ("/.." * 80_000, b"", {}),
    "a slow charset": ("", b"a" * 1_000_000, {"Content_Type": "application/x-www-form-urlencoded; charset=punycode"}),
    "a multipart form": ("", b"--a\r\n\r\n\r\n" * 100_000, {"Content_Type": "multipart/form-data; boundary=a"}),
    "many languages": ("", b"", {"Accept": "a/b," * 2_000, "Accept_Language": "a," * 2_000}),
}


@pytest.mark.parametrize("token", ["", TOKEN])
def test_what_a_stranger_sends_costs_little(running: Running[Controller], token: str) -> None:
    controller = running(FLOWPROXY_API_TOKEN=token)
    for kind, (tail, body, headers) in COSTLY.items():
        sent = {"Content_Type": "application/x-www-form-urlencoded"} | headers
        for path in ("/v1/reconfigure", "/v1/ping"):
            before = _processor_seconds(controller)
            answer = send(controller, path + tail, body, **sent)
            assert answer.status < 500, kind
            assert _processor_seconds(controller) - before < 0.5, (kind, path)


def test_tiny_chunks_cost_little(running: Running[Controller]) -> None:
    """Without the token the rest of a body is read for two seconds at most."""
    controller = running(FLOWPROXY_API_TOKEN=TOKEN)
    before = _processor_seconds(controller)
    with socket.create_connection(("127.0.0.1", controller.port), 10) as connection:
        connection.sendall(b"POST /v1/reconfigure HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"1\r\na\r\n" * 2000)
    assert fetch(controller.port, "/v1/ping").status == 200
    assert _processor_seconds(controller) - before < 1.5


def test_who_may_not_call_is_answered_before_the_body_comes(running: Running[Controller]) -> None:
    controller = running(FLOWPROXY_API_TOKEN=TOKEN)
    head = b"PUT /v1/cert?certName=a.pem HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", controller.port), 10) as connection:
        connection.sendall(head)
        said = connection.makefile("rb").read(500)
    assert b" 401 " in said


def test_bad_requests_say_little_in_the_log(controller: Controller) -> None:
    controller.start(FLOWPROXY_API_TOKEN=TOKEN)
    secret = "swordfish-4711"  # noqa: S105
    heads = [
        f"GET /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\x00\r\n\r\n",
        f"GET /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer {secret}\r\n\r\n",
        f"GET /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization\x01: Bearer {secret}\r\n\r\n",
        f"GET /v1/config HTTP/1.1\r\nHost: a\r\n Bearer {secret}\r\n\r\n",
        f"GET /v1/config?token={secret} HTTP/9\r\nHost: a\r\n\r\n",
        f"GET /v1/config?token={secret}\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /v1/config?token={secret} HTTP/1.1\r\nHost: a\r\nContent-Length: {secret}\r\n\r\n",
        f"{secret} / HTTP/1.1\r\n\r\n",
        f"GET /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}{'x' * 20_000}\r\n\r\n",
        f"POST /v1/ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{secret}\r\n\r\n",
        f"GET http://{secret}:{secret}@[/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    for head in heads * 5:
        with socket.create_connection(("127.0.0.1", controller.port), 10) as connection:
            connection.sendall(head.encode())
            connection.settimeout(3)
            with contextlib.suppress(OSError):
                connection.recv(4096)
    written = controller.log.read_text()
    assert "Error handling request" in written
    assert secret not in written
    assert "Traceback" not in written
    assert len(written.splitlines()) < 100


def test_a_certificate_that_is_no_text_is_refused(running: Running[Controller]) -> None:
    controller = running()
    answer = send(controller, "/v1/ping", b"\xff\xfe")
    assert (answer.status, "utf-8" in answer.json["Message"]) == (415, True)
