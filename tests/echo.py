"""Origins that answer with what they received, for the examples in the documentation."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol


class StartEcho(Protocol):
    """Starts an echo and returns its port."""

    def __call__(self, title: str, context: ssl.SSLContext | None = None) -> int: ...


@contextmanager
def echoes() -> Iterator[StartEcho]:
    """Each echo answers its title, then the request line and the headers; not a path that ends in `/slow`."""
    servers: list[_Server] = []
    end = threading.Event()

    def start(title: str, context: ssl.SSLContext | None = None) -> int:
        server = _Server(("127.0.0.1", 0), _handler(title, end))
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    try:
        yield start
    finally:
        end.set()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: HAProxy's checks close their connections, and clients give up."""


def _handler(title: str, end: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            if self.path.endswith("/slow"):
                end.wait(30)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
            body = f"{title} received:\n{self.requestline}\n{headers}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

        def version_string(self) -> str:
            return "echo"

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
