"""A controller with very many services, an origin behind them, and a hand-written HAProxy as the reference."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
from certificates import make_certificate
from controller import Controller
from support import eventually, free_port

_IN_FLIGHT = 300

ORIGIN = """
global
    nbthread 1
defaults
    mode http
    timeout client 60s
    timeout connect 5s
    timeout server 60s
frontend origin
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string hello
"""

# What somebody would write for one service with the defaults of ours.
REFERENCE = """
global
    stats socket {folder}/worker.sock mode 600 level admin expose-fd listeners
    description {digest}
    log stdout format raw local0
defaults
    mode http
    log stdout format raw local0 alert
    option dontlognull
    option dontlog-normal
    balance roundrobin
    option http-keep-alive
    option redispatch 1
    retries 3
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    timeout queue 30s
    timeout tunnel 3600s
    timeout http-request 5s
    timeout http-keep-alive 15s
frontend services
    log global
    option httplog
    bind *:{plain}
    bind *:{tls} ssl crt {folder}/a.org.pem alpn h2,http/1.1
{headers}
    use_backend web if {{ path_beg /web }}
backend web
    server one 127.0.0.1:{port} check
"""

# The headers that ours writes for every request. They are a quarter of HAProxy's own work.
HEADERS = """
    option forwardfor
    http-request del-header Forwarded
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
"""
# What the reference wrote before ours wrote all of them.
FEW_HEADERS = """
    option forwardfor
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
"""


def parameters(number: int, port: int) -> dict[str, str]:
    """Of the service with this number: most have a host, some a wildcard, some only a path, one in a hundred a
    condition."""
    given = {"serviceName": f"s{number:05}", "outboundHostname": "127.0.0.1", "port": str(port)}
    match number % 100:
        case kind if kind < 40:
            return {**given, "serviceDomain": f"host{number}.example.org"}
        case kind if kind < 80:
            return {**given, "serviceDomain": f"shared{number % 997}.example.org", "servicePath": f"/path{number}"}
        case kind if kind < 90:
            return {**given, "serviceDomain": f"*.wild{number}.example.org"}
        case kind if kind < 99:
            return {**given, "servicePath": f"/only{number}"}
    return {**given, "servicePath": f"/conditional{number}", "serviceHeader": "X-Version:1"}


def address(number: int) -> tuple[str, str]:
    """Host and path of a request that the service with this number answers, without a condition."""
    given = parameters(number, 0)
    host = given.get("serviceDomain", "any.example.net").replace("*.", "deep.below.")
    return host, given.get("servicePath", "/") + "/page"


class Cluster:
    """A controller, with plain HTTP and TLS, and the services that were registered with it."""

    def __init__(self, folder: Path) -> None:
        self.controller = Controller(folder / "state")
        self.tls = free_port()
        self.origin = free_port()
        self.size = 0
        certificates = folder / "certs"
        certificates.mkdir()
        (certificates / "a.org.pem").write_text(make_certificate("a.org")[0])

    def start(self, **environment: str) -> None:
        ports = f"{self.controller.traffic},{self.tls}:ssl"
        self.controller.start(**{"DEFAULT_PORTS": ports, "FLOWPROXY_CERTS": str(self._certificates), **environment})

    @property
    def _certificates(self) -> Path:
        return self.controller.folder.parent / "certs"

    def grow(self, size: int) -> float:
        """Registers all services up to this number, many at a time; how many seconds it took."""
        began = time.monotonic()
        asyncio.run(self._register(range(self.size, size)))
        self.size = size
        return time.monotonic() - began

    async def _register(self, numbers: range) -> None:
        connector = aiohttp.TCPConnector(limit=_IN_FLIGHT)
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            asyncio.TaskGroup() as calls,
        ):
            for number in numbers:
                calls.create_task(self._put(session, parameters(number, self.origin)))

    async def _put(self, session: aiohttp.ClientSession, given: dict[str, str]) -> None:
        url = f"http://127.0.0.1:{self.controller.port}/v1/reconfigure"
        async with session.get(url, params=given) as answer:
            assert answer.status == 200, await answer.text()

    @property
    def process(self) -> psutil.Process:
        assert self.controller.process
        return psutil.Process(self.controller.process.pid)

    def workers(self) -> list[psutil.Process]:
        """Of HAProxy, old ones included."""
        master = psutil.Process(self.controller.status["haproxy"]["pid"])
        return master.children()

    def answers(self, number: int) -> bool:
        host, path = address(number)
        return self.controller.get(path, host=host).status == 200


class Reference:
    """The hand-written HAProxy."""

    def __init__(self, folder: Path, origin: int, more: str = "", headers: str = HEADERS) -> None:
        self.folder = folder
        self._headers = headers
        self.plain, self.tls = free_port(), free_port()
        self._origin = origin
        self._more = more
        (folder / "a.org.pem").write_text(make_certificate("a.org")[0])
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, digest: str) -> Path:
        values = {"folder": self.folder, "plain": self.plain, "tls": self.tls, "port": self._origin, "digest": digest}
        path = self.folder / "reference.cfg"
        path.write_text(REFERENCE.format(**values, headers=self._headers) + self._more)
        return path

    @contextmanager
    def running(self) -> Iterator[None]:
        with _haproxy(self.folder, "-W", "-S", str(self.folder / "master.sock"), "-f", str(self.write("first"))):
            eventually(lambda: self._runs("first"), within=30)
            yield

    def reload(self, digest: str) -> float:
        """Seconds until the new worker answers."""
        self.write(digest)
        master = self.folder / "master.sock"
        eventually(lambda: _ask(master, "show proc"), within=30)  # it is not there for a moment after a reload
        began = time.monotonic()
        _ask(master, "reload")
        eventually(lambda: self._runs(digest), within=30)
        return time.monotonic() - began

    def check(self) -> float:
        return check_seconds(self.folder / "reference.cfg")

    def _runs(self, digest: str) -> bool:
        return f"description: {digest}" in _ask(self.folder / "worker.sock", "show info")


def check_seconds(path: Path) -> float:
    """How long `haproxy -c` takes for a configuration."""
    began = time.monotonic()
    subprocess.run(["haproxy", "-c", "-f", str(path)], check=True, capture_output=True)
    return time.monotonic() - began


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="flowproxy-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def cluster(**environment: str) -> Iterator[Cluster]:
    """A running one, with its origin."""
    with folder() as path:
        made = Cluster(path)
        (path / "origin.cfg").write_text(ORIGIN.format(port=made.origin))
        with _haproxy(path, "-f", str(path / "origin.cfg")):
            try:
                made.start(**environment)
                yield made
            finally:
                made.controller.end()


@contextmanager
def _haproxy(folder: Path, *arguments: str) -> Iterator[None]:
    """In a session of its own and with its log in a file, as ours runs: the kernel shares the processors out between
    sessions, and every request that nobody answers is a line of the log."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["haproxy", *arguments], stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()
