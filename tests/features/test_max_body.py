"""How large the body of a request may be."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterable

import pytest
from controller import Answer, Controller
from featured import PLAIN, configuration, cost, lines

from flowproxy.errors import InvalidService
from flowproxy.features import Change
from flowproxy.features.max_body import size_in_bytes
from flowproxy.services.parse import parse
from flowproxy.services.safeguards import better_protected

Web = Callable[..., Answer]


def sent(controller: Controller, path: str, size: int) -> int:
    """The status of a request that says how long its body is."""
    connection = http.client.HTTPConnection("127.0.0.1", controller.traffic, timeout=10)
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        if size < 100_000:
            connection.send(b"x" * size)
        return connection.getresponse().status
    finally:
        connection.close()


def chunked(controller: Controller, path: str, chunks: Iterable[int], *heads: str) -> str:
    """The first line of the answer to a request whose body has no end and comes in such chunks."""
    head = [f"POST {path} HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", *heads, "", ""]
    with socket.create_connection(("127.0.0.1", controller.traffic), 10) as connection:
        connection.sendall("\r\n".join(head).encode())
        for size in chunks:
            try:
                connection.sendall(b"%x\r\n%b\r\n" % (size, b"x" * size))
            except OSError:  # it is answered already
                break
        return connection.recv(1000).decode().partition("\r\n")[0]


def test_a_body_that_says_it_is_larger_is_not_even_read(controller: Controller, web: Web) -> None:
    web("upload", maxBody="2k")

    assert sent(controller, "/upload", 2048) == 200
    assert sent(controller, "/upload", 0) == 200
    assert sent(controller, "/upload", 2049) == 413
    assert sent(controller, "/upload", 5_000_000_000) == 413
    assert controller.get("/upload").status == 200


@pytest.mark.parametrize("chunks", [[2049], [100] * 30, [1] * 3000, [1000] * 100, [5_000_000]])
def test_a_chunked_body_that_is_larger_never_reaches_the_service(
    controller: Controller, web: Web, chunks: list[int]
) -> None:
    web("upload", maxBody="2k")

    assert chunked(controller, "/upload", [*chunks, 0]).startswith("HTTP/1.1 413 ")


def test_a_chunked_body_of_a_few_kilobytes_is_measured(controller: Controller, web: Web) -> None:
    web("upload", maxBody="20k")

    assert chunked(controller, "/upload", [100] * 100 + [0]).startswith("HTTP/1.1 200 ")
    assert chunked(controller, "/upload", [0]).startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize("head", ["X-Large: " + "a" * 6000, "Content-Length: 3", "Upgrade: websocket"])
def test_no_head_makes_a_body_look_smaller(controller: Controller, web: Web, head: str) -> None:
    """What is not seen whole, because the head leaves it no room, is not taken."""
    web("upload", maxBody="20k")

    assert chunked(controller, "/upload", [100] * 300 + [0], head).startswith("HTTP/1.1 413 ")


def test_another_size_is_no_reload_and_without_its_entry_no_body_is_taken(controller: Controller, web: Web) -> None:
    web("grown", maxBody="2k")
    reloads = controller.status["reloads"]
    web("grown", maxBody="3k")

    assert sent(controller, "/grown", 3072) == 200
    assert sent(controller, "/grown", 3073) == 413
    assert controller.status["reloads"] == reloads
    controller.ask("clear map maps/values.map")
    assert controller.get("/grown").status == 200
    assert sent(controller, "/grown", 1) == 413


def test_the_size_is_looked_up() -> None:
    assert configuration({"maxBody": "10m"}).maps["values"] == {"web-be80_0|maxBody": str(10 * 1024 * 1024)}
    assert lines({"maxBody": "10m"}) == lines({"maxBody": "7"})
    assert cost({"maxBody": "1"}, {"maxBody": "2"}) is Change.MAP


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("7", 7), ("7b", 7), ("2K", 2048), ("3m", 3 << 20), ("1g", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("value", ["-1", "1.5m", "10mb", "m", "1 k", "999999999999g", "10m\n", "%[rand]"])
def test_what_is_no_size_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="maxBody"):
        parse({**PLAIN, "maxBody": value})


@pytest.mark.parametrize("given", [{"reqMode": "tcp", "srcPort": "9000", "maxBody": "1k"}, {"maxBodySize": "1k"}])
def test_what_would_limit_nothing_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidService, match="maxBody"):
        parse({**PLAIN, **given})


def test_no_spelling_of_a_path_leads_past_the_limit_of_another_destination() -> None:
    """As with everything that protects one destination better than another."""
    given = {"servicePath.1": "/", "port.1": "80", "servicePath.2": "/upload", "port.2": "81", "maxBody.2": "1k"}
    one, two = parse({"serviceName": "web", **given}).destinations

    assert better_protected(one, (one, two)) == (two,)
    assert better_protected(two, (one, two)) == ()
