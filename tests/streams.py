"""How long each chunk of a stream is under way. A chunk is the time at which it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from ssl import SSLContext

from http2 import DATA, END_STREAM, Frame, Http2

PAUSE_S = 0.02
_STAMP = 20  # characters


class StreamOrigin:
    """Sends `chunks` small chunks to a GET, and answers a POST with the delay of each chunk that it has received."""

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[int]:
        """The port that it listens on: a free one, unless given."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        yield server.sockets[0].getsockname()[1]
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n")
            writer.write(b"Connection: close\r\n\r\n")
            if head.startswith(b"POST"):
                delays = [delay async for delay in _delays_of_chunks(reader)]
                writer.write(_chunk(" ".join(map(str, delays)).encode()))
            else:
                async for stamp in _stamps(self._chunks):
                    writer.write(_chunk(stamp))
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        writer.close()


async def download(port: int, path: str, *, http2: bool, tls: SSLContext | None = None) -> list[float]:
    """Return the delays of a response's chunks, in milliseconds."""
    if http2:
        connection = await Http2.connect(port, tls)
        connection.request(1, path)
        delays = [delay async for delay in _delays_of_frames(connection)]
        connection.close()
        return delays
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    delays = [delay async for delay in _delays_of_chunks(reader)]
    writer.close()
    return delays


async def upload(port: int, path: str, chunks: int, *, http2: bool, tls: SSLContext | None = None) -> list[float]:
    """Return the delays of a request's chunks, in milliseconds."""
    if http2:
        connection = await Http2.connect(port, tls)
        connection.request(1, path, "POST", ends=False)
        async for stamp in _stamps(chunks):
            connection.send(Frame(DATA, 0, 1, stamp))
        connection.send(Frame(DATA, END_STREAM, 1))
        answer = b""
        while not (frame := await connection.receive()).ends_stream:
            answer += frame.payload if frame.kind == DATA else b""
        connection.close()
        return [float(delay) for delay in (answer + (frame.payload if frame.kind == DATA else b"")).split()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    async for stamp in _stamps(chunks):
        writer.write(_chunk(stamp))
    writer.write(b"0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    size = int(await reader.readline(), 16)
    answer = await reader.readexactly(size)
    writer.close()
    return [float(delay) for delay in answer.split()]


async def _stamps(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        await asyncio.sleep(PAUSE_S)
        yield f"{time.monotonic():<{_STAMP}.9f}".encode()


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


async def _delays_of_chunks(reader: asyncio.StreamReader) -> AsyncIterator[float]:
    while size := int(await reader.readline(), 16):
        for delay in _delays(await reader.readexactly(size)):
            yield delay
        await reader.readline()
    await reader.readline()


async def _delays_of_frames(connection: Http2) -> AsyncIterator[float]:
    ended = False
    while not ended:
        frame = await connection.receive()
        for delay in _delays(frame.payload if frame.kind == DATA else b""):
            yield delay
        ended = frame.ends_stream


def _delays(content: bytes) -> list[float]:
    """Of the stamps in it, which may have been put together on their way."""
    stamps = [content[start : start + _STAMP] for start in range(0, len(content), _STAMP)]
    return [(time.monotonic() - float(stamp)) * 1000 for stamp in stamps]
