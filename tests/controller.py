"""A real controller as a process, and what a client sees of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

import psutil
from certificates import make_certificate
from cryptography import x509
from forked import Forked
from support import eventually, free_port


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


AController = TypeVar("AController", bound="Controller")
STARTED: weakref.WeakSet[Controller] = weakref.WeakSet()  # whose logs a failed test shows


class Controller:
    """`flowproxy serve` as a process, with a state folder that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.traffic, self.port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.environment: dict[str, str] = {}
        self.wrapper: tuple[str, ...] = ()  # the command that starts it; without one it is forked
        self.log = folder.parent / "log"
        self._seen = 0
        STARTED.add(self)

    def start(self, *arguments: str, **environment: str) -> Controller:
        self.launch(*arguments, **environment)
        try:
            eventually(self._is_ready, within=60)
        except BaseException:
            self.end()
            raise
        return self

    def _is_ready(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError(f"the controller ended:\n{self.log.read_text()}")
        return bool(self.api("/v1/status").json["ready"])

    def launch(self, *arguments: str, **environment: str) -> None:
        """Without waiting for it to be ready."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        self.environment = {
            "DEFAULT_PORTS": str(self.traffic),
            "PORT": str(self.port),
            "FLOWPROXY_STATE_DIR": str(self.folder),
            "FLOWPROXY_SWARM": "off",
            "FLOWPROXY_CERTS": str(self.folder.parent / "certs"),
            "FLOWPROXY_RAW_CONFIG": "all",  # tests speak to the API where users write labels
            **environment,
        }
        whole = {"PATH": os.environ["PATH"]} | self.environment
        if not self.wrapper and "PYTHONPATH" not in whole:
            self.process = Forked(("serve", *arguments), whole, self.log)
            return
        with self.log.open("ab") as log:
            command = [*self.wrapper, sys.executable, "-m", "flowproxy", "serve", *arguments]
            self.process = subprocess.Popen(command, env=whole, stdout=log, stderr=subprocess.STDOUT)

    def api(self, path: str, method: str = "GET", **query: str) -> Answer:
        return fetch(self.port, f"{path}?{urlencode(query)}" if query else path, method=method)

    def reconfigure(self, name: str, **parameters: str) -> Answer:
        given = {key.replace("_", "."): value for key, value in parameters.items()}
        return self.api("/v1/docker-flow-proxy/reconfigure", serviceName=name, **given)

    def get(self, path: str, host: str = "localhost", **headers: str) -> Answer:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return fetch(self.traffic, path, headers={"Host": host, **sent})

    def ask(self, command: str) -> str:
        """What HAProxy's runtime API answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "haproxy.sock"))
            connection.sendall(f"{command}\n".encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def new_log(self) -> str:
        """Return what was logged since the last call."""
        text = self.log.read_bytes()[self._seen :] if self.log.exists() else b""
        self._seen += len(text)
        return text.decode(errors="replace")

    @property
    def status(self) -> Any:
        return self.api("/v1/status").json

    def clear(self) -> None:
        """Remove every service.

        Raises:
            AssertionError: something is left of them.
        """
        token = self.environment.get("FLOWPROXY_API_TOKEN", "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for service in fetch(self.port, "/v1/services", headers=headers).json:
            fetch(self.port, f"/v1/docker-flow-proxy/remove?serviceName={service['name']}", headers=headers)

        def nothing_is_left() -> bool:  # a refused call is undone in a round of its own
            status = fetch(self.port, "/v1/status", headers=headers).json
            left = {of: status[of] for of in ("services", "quarantined", "quarantined_certificates", "failure")}
            assert not any(left.values()), left
            return bool(status["ready"])

        eventually(nothing_is_left)

    def signal(self, number: int) -> int:
        """Sends a signal and returns the exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def end(self) -> None:
        """Also ends a HAProxy that outlived its controller."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder) in " ".join(process.info["cmdline"] or []):
                process.kill()


class Tls(Controller):
    """A controller with one port for TLS beside the plain one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tls = free_port()
        self.certs = folder.parent / "certs"
        self.secrets = folder.parent / "secrets"
        self.certs.mkdir()
        self.secrets.mkdir()

    def begin(self, *names: str, **environment: str) -> Tls:
        """Start with one certificate for these names, if any. Settings named `secret:name` are files of secrets."""
        for secret in [name for name in environment if name.startswith("secret:")]:
            (self.secrets / secret.removeprefix("secret:")).write_text(environment.pop(secret))
        if names:
            (self.certs / "own").write_text(make_certificate(*names)[0])
        given = {"DEFAULT_PORTS": f"{self.traffic},{self.tls}:ssl", "FLOWPROXY_SECRETS": str(self.secrets)}
        self.start(**given | environment)
        return self

    def serial(self, name: str | None = None) -> int:
        """Of the certificate that a client is shown that asks for this server name."""
        with self.connect(name) as connection:
            shown = connection.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown).serial_number

    def connect(self, name: str | None = None, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLSocket:
        return self.connect_to(self.tls, name, protocols)

    @staticmethod
    def connect_to(port: int, name: str | None = None, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(list(protocols))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname=name)

    def get_tls(
        self, path: str, host: str = "a.org", method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.tls, timeout=10)
        connection.sock = self.connect(host)
        connection.request(method, path, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))

    def put_certificate(self, name: str, pem: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("PUT", f"/v1/docker-flow-proxy/cert?certName={name}", body=pem)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))


class Running(Generic[AController]):
    """The controllers that the tests of one file share: one for each combination of settings."""

    def __init__(self, start: Callable[..., AController]) -> None:
        self._start = start
        self._all: dict[tuple[object, ...], AController] = {}
        self._used: list[AController] = []

    def __call__(self, *arguments: str, **settings: str) -> AController:
        """Return the one that was started with these arguments and settings; it has no services."""
        key = (*arguments, *sorted(settings.items()))
        if key not in self._all:
            self._all[key] = self._start(*arguments, **settings)
        self._used.append(self._all[key])
        return self._all[key]

    def clear(self) -> None:
        """Remove what the last test registered. Where that fails, the next test gets a fresh controller."""
        used, self._used = self._used, []
        try:
            for controller in used:
                controller.clear()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        while self._all:
            self._all.popitem()[1].end()


def fetch(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
    finally:
        connection.close()


def exchange(port: int, sent: bytes) -> bytes:
    """Everything that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(sent)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
    return b"".join(parts)


@contextmanager
def requests_all_the_time(port: int, path: str) -> Iterator[list[int]]:
    """Statuses of requests that another thread makes, each on a connection of its own; 0 for one that broke."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.003):  # other tests run beside this one
            try:
                statuses.append(fetch(port, path).status)
            except OSError:
                statuses.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


_POLL_S = 0.01  # how long an origin takes to notice that it should end


class Origin(NamedTuple):
    port: int
    release: threading.Event
    asked: threading.Event


@contextmanager
def origins() -> Iterator[Callable[[str], Origin]]:
    """Starts origins by name, until the end: each answers its name, the path and the headers that it was sent."""
    servers = []

    def start(name: str) -> Origin:
        release, asked = threading.Event(), threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet

            def do_GET(self) -> None:
                if self.path.endswith("/wait"):
                    asked.set()
                    release.wait(30)
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                body = f"{name} {self.path}\n{self.headers}".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_POST = do_DELETE = do_GET

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=[_POLL_S], daemon=True).start()
        servers.append((server, release))
        return Origin(server.server_address[1], release, asked)

    yield start
    for server, release in servers:
        release.set()
        server.shutdown()
        server.server_close()
