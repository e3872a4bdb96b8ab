"""A proxy in front of the Docker socket: it lets through what only reads, and fails in scripted ways.

As a program it listens on port 2375 of all addresses, as such proxies do in a stack.
"""

import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal

Fault = Literal["none", "error", "half", "nonsense", "empty", "silent"]

ALLOWED = re.compile(r"(?:/v[0-9.]+)?/(services|tasks|nodes|networks|events)(?:\?.*)?")


class Filter:
    """Listens on a port of 127.0.0.1, with TLS when it is given a context. Only GET of what `ALLOWED` names passes."""

    def __init__(
        self, daemon: Path, context: ssl.SSLContext | None = None, address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.fault: Fault = "none"
        self.storm = 0  # events in a second that nobody sent
        self.passed: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()  # of these, listings of everything
        self.refused: list[str] = []
        self._server = ThreadingHTTPServer(address, _handler(self, daemon))
        self._server.daemon_threads = True
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> "Filter":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fault = "silent"
        self._server.shutdown()
        self._server.server_close()


class _Daemon(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _handler(filtering: Filter, daemon: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = ALLOWED.fullmatch(self.path)
            if found is None:
                filtering.refused.append(f"{self.command} {self.path}")
                self._answer(403, b'{"message": "forbidden"}')
                return
            filtering.passed[found[1]] += 1
            filtering.whole[found[1]] += "filters=%7B%22" not in self.path
            upstream = _Daemon(daemon)
            upstream.request("GET", self.path)
            answer = upstream.getresponse()
            if found[1] == "events":
                self._stream(answer)
                return
            body = answer.read()
            upstream.close()
            match filtering.fault:
                case "error":
                    self._answer(500, b'{"message": "the swarm does not have a leader"}')
                case "half":
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.end_headers()
                    self.wfile.write(body[: len(body) // 2])
                    self.close_connection = True
                case "nonsense":
                    self._answer(200, b'[{"Spec": null}]')
                case "empty":
                    self._answer(200, b"[]")
                case _:
                    self._answer(answer.status, body)

        do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, answer: http.client.HTTPResponse) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            threading.Thread(target=self._invent, daemon=True).start()
            for line in answer:
                if filtering.fault != "silent":
                    self._chunk(line)

        def _invent(self) -> None:
            made_up = {"Type": "service", "Action": "update", "Actor": {"ID": "0123456789012345678901234"}}
            try:
                while not self.wfile.closed:
                    for _ in range(filtering.storm // 20):
                        self._chunk(json.dumps(made_up).encode() + b"\n")
                    time.sleep(0.05)
            except OSError:
                return

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


if __name__ == "__main__":
    with Filter(Path("/var/run/docker.sock"), address=("", 2375)):
        threading.Event().wait()
