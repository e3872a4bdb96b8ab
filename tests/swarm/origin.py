"""A small HTTP origin: it says who it is, waits when asked to, and leaves without breaking a request.

It also speaks WebSocket, sends events, writes down each POST in a folder that tasks share, and can be told to hang.

Standard library only, because it runs in an image that has nothing else.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import signal
import socket
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

IDLE_SECONDS = 60
LEAVING_SECONDS = 30
SHARED = Path("/shared")  # a folder of the machine's, where it is mounted
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Origin:
    """Serves HTTP/1.1 with keep-alive until it is stopped."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared
        self._stopping = asyncio.Event()
        self._idle: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._slow = 0
        self._since = 0.0

    async def run(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        server = await asyncio.start_server(self._serve, "0.0.0.0", port)
        self._since = time.time()
        await self._stopping.wait()
        server.close()
        for writer in self._idle:
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=LEAVING_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while not self._stopping.is_set() and await self._exchange(reader, writer):
                pass
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # the client left, or was never one
        finally:
            self._idle.discard(writer)
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; false when the connection is not to be used again."""
        self._idle.add(writer)
        async with asyncio.timeout(IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        self._idle.discard(writer)
        request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = request_line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await reader.readexactly(int(headers.get("content-length", "0")))
        if (self._shared / f"hang-{socket.gethostname()}").exists():
            await asyncio.Event().wait()
        match urlsplit(target).path.rpartition("/")[2]:
            case "websocket":
                await self._websocket(headers["sec-websocket-key"], reader, writer)
                return False
            case "events":
                await self._events(writer)
                return False
        if method == "POST":
            with (self._shared / "posts").open("a") as posts:
                posts.write(f"{headers['x-id']}\n")

        status, content_type, body = await self._answer(target, headers)
        lasting = not self._stopping.is_set() and headers.get("connection", "").lower() != "close"
        writer.write(
            f"HTTP/1.1 {status}\r\n"
            f"Content-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"Connection: {'keep-alive' if lasting else 'close'}\r\n\r\n".encode()
        )
        if method != "HEAD":
            writer.write(body)
        await writer.drain()
        return lasting

    async def _websocket(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sends back each short text until told to stop."""
        accept = base64.b64encode(hashlib.sha1(key.encode() + WEBSOCKET, usedforsecurity=False).digest()).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        while not self._stopping.is_set():
            frame = asyncio.ensure_future(reader.readexactly(2))
            await asyncio.wait((frame, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not frame.done():
                frame.cancel()
                break
            length = frame.result()[1] & 127
            mask, text = await reader.readexactly(4), await reader.readexactly(length)
            writer.write(bytes([0x81, length]) + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))
            await writer.drain()
        stopping.cancel()
        writer.write(b"\x88\x02\x03\xe9")  # going away

    async def _events(self, writer: asyncio.StreamWriter) -> None:
        """One event every 100 ms until told to stop."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        number = 0
        while not self._stopping.is_set():
            writer.write(f"data: {number}\n\n".encode())
            await writer.drain()
            number += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._stopping.wait()

    async def _answer(self, target: str, headers: dict[str, str]) -> tuple[str, str, bytes]:
        """The last part of the path decides, so that any prefix can be routed here."""
        url = urlsplit(target)
        match url.path.rpartition("/")[2]:
            case "hello":
                return "200 OK", "text/plain", f"hello from {socket.gethostname()}\n".encode()
            case "since":  # who listens since when, in seconds since 1970
                return "200 OK", "text/plain", f"{socket.gethostname()} {self._since}\n".encode()
            case "slow":
                seconds = float(parse_qs(url.query).get("seconds", ["1"])[0])
                self._slow += 1
                try:
                    await asyncio.sleep(seconds)
                finally:
                    self._slow -= 1
                return "200 OK", "text/plain", f"hello after {seconds:g} s\n".encode()
            case "running":  # how many slow requests are under way
                return "200 OK", "text/plain", f"{self._slow}\n".encode()
            case "post":
                return "200 OK", "text/plain", b"written down\n"
            case "echo":
                return "200 OK", "application/json", json.dumps(headers).encode()
            case _:
                return "404 Not Found", "text/plain", b"nothing here\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", nargs="?", type=int, default=8080)
    parser.add_argument("--shared", type=Path, default=SHARED, help="the folder that tasks share")
    given = parser.parse_args()
    asyncio.run(Origin(given.shared).run(given.port))
