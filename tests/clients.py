"""Clients that keep a connection, send each request once, and read nothing between two requests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter

from http2 import DATA, GOAWAY, HEADERS, RST_STREAM, Http2


class KeepAlive:
    """Speaks HTTP/1.1, and opens another connection only after an answer has announced the end of the last one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> int:
        """Return the status. Raises OSError or EOFError when the request is lost."""
        reader, writer = self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
        if "\r\nconnection: close" in head:
            self.close()
        return int(head.split()[1])

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


class Multiplexing:
    """Speaks HTTP/2, and learns of a GOAWAY only when it reads an answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Http2 | None = None
        self._streams = itertools.count(1, 2)

    async def get(self, path: str) -> int:
        """Return 200, or 500 for any other status. Raises OSError or EOFError when the request is lost."""
        if self._connection is None:
            self._connection, self._streams = await Http2.connect(self._port), itertools.count(1, 2)
        connection, stream = self._connection, next(self._streams)
        connection.request(stream, path)
        status, leaving, ended = 0, False, False
        while not ended:
            frame = await connection.receive()
            if frame.kind == GOAWAY:
                leaving = True
                if frame.last_stream < stream:
                    raise ConnectionResetError("GOAWAY excludes the request")
            elif frame.stream == stream:
                if frame.kind == RST_STREAM:
                    raise ConnectionResetError("the stream was reset")
                if frame.kind == HEADERS:
                    status = frame.status
                ended = frame.kind in (HEADERS, DATA) and frame.ends_stream
        if leaving:
            self.close()
        return status

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


Kind = type[KeepAlive] | type[Multiplexing]


class Load:
    """Clients that ask all the time, with pauses; `results` counts statuses, and exceptions by their names."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._done = False
        self.results: Counter[int | str] = Counter()

    async def ask(self, kind: Kind, clients: int, pause_s: tuple[float, float]) -> None:
        """Run so many clients until `stop` is called. Each pause is random, within the two bounds."""
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._ask(kind(self._port), pause_s))

    def stop(self) -> None:
        """Each client makes one more request, and ends."""
        self._done = True

    @property
    def lost(self) -> dict[int | str, int]:
        return {result: number for result, number in self.results.items() if result != 200}

    async def _ask(self, client: KeepAlive | Multiplexing, pause_s: tuple[float, float]) -> None:
        last = False
        while not last:
            last = self._done
            try:
                async with asyncio.timeout(30):
                    self.results[await client.get(self._path)] += 1
            except (OSError, EOFError) as error:
                self.results[type(error).__name__] += 1
                client.close()
            if not last:
                await asyncio.sleep(random.uniform(*pause_s))  # noqa: S311  # no secret depends on a pause
        client.close()


async def say_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of a connection at once: a handler for asyncio.start_server."""
    with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    writer.close()
