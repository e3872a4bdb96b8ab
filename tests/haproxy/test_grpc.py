"""HTTP/2 from the client to the service, with real gRPC: single calls and a stream that outlives a reload."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from certificates import make_certificate
from controller import Tls


class Echo(grpc.GenericRpcHandler):
    """Answers with its request; or echoes a stream until it ends."""

    def __init__(self) -> None:
        self.given: queue.Queue[bytes | None] = queue.Queue()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method.endswith("/Say"):
            return grpc.unary_unary_rpc_method_handler(lambda request, _: b"said " + request)
        if details.method.endswith("/Stream"):
            return grpc.unary_stream_rpc_method_handler(lambda *_: iter(self.given.get, None))
        return None


@pytest.fixture
def echo(tls: Tls) -> Iterator[tuple[Echo, str]]:
    """A gRPC service behind the proxy, and the authority that its clients trust."""
    pem, _ = make_certificate("a.org")
    (tls.certs / "a.org.pem").write_text(pem)
    tls.begin()
    handler, server = Echo(), grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    given = {"servicePath": "/demo.Echo/", "serviceProtocol": "h2", "outboundHostname": "127.0.0.1"}
    assert tls.reconfigure("echo", port=str(port), timeoutServer="60", **given).status == 200
    yield handler, pem.partition("-----BEGIN PRIVATE")[0]
    handler.given.put(None)
    server.stop(None)


def channel(tls: Tls, authority: str) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(authority.encode())
    return grpc.secure_channel(f"127.0.0.1:{tls.tls}", credentials, [("grpc.ssl_target_name_override", "a.org")])


def test_a_call_over_tls_and_one_over_plain_http2(tls: Tls, echo: tuple[Echo, str]) -> None:
    for made in (channel(tls, echo[1]), grpc.insecure_channel(f"127.0.0.1:{tls.traffic}")):
        with made:
            assert made.unary_unary("/demo.Echo/Say")(b"hello", timeout=10) == b"said hello"


def test_a_stream_outlives_a_reload(tls: Tls, echo: tuple[Echo, str]) -> None:
    handler, authority = echo
    with channel(tls, authority) as made:
        stream = made.unary_stream("/demo.Echo/Stream")(b"", timeout=60)
        handler.given.put(b"before")
        assert next(stream) == b"before"
        assert tls.api("/v1/reload").status == 200
        handler.given.put(b"after")
        assert next(stream) == b"after"
        assert tls.status["old_workers"] == 1
        assert made.unary_unary("/demo.Echo/Say")(b"again", timeout=10) == b"said again"
