"""As much of HTTP/2 (RFC 9113) as a test needs: frames, and the heads of one request and its answer."""

from __future__ import annotations

import asyncio
import struct
from ssl import SSLContext
from typing import NamedTuple

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STATUS_200 = b"\x88"  # RFC 7541, appendix A


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes = b""

    @property
    def encoded(self) -> bytes:
        return (
            struct.pack(">I", len(self.payload))[1:]
            + struct.pack(">BBI", self.kind, self.flags, self.stream)
            + self.payload
        )

    @property
    def ends_stream(self) -> bool:
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def status(self) -> int:
        """200, or 500 for all others."""
        return 200 if self.payload.startswith(_STATUS_200) else 500

    @property
    def last_stream(self) -> int:
        """Of a GOAWAY."""
        return int.from_bytes(self.payload[:4], "big")


class Http2:
    """One connection, with prior knowledge. Nothing is read between two calls."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        unlimited = struct.pack(">I", 2**31 - 1 - 65535)
        self.send(Frame(SETTINGS, 0, 0), Frame(WINDOW_UPDATE, 0, 0, unlimited), preface=_PREFACE)

    @classmethod
    async def connect(cls, port: int, tls: SSLContext | None = None) -> Http2:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    def request(self, stream: int, path: str, method: str = "GET", *, ends: bool = True) -> None:
        fields = {":method": method, ":scheme": "http", ":path": path, ":authority": "localhost"}
        fields["accept-encoding"] = "gzip"
        head = b"".join(_literal(name, value) for name, value in fields.items())
        self.send(Frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, head))

    def send(self, *frames: Frame, preface: bytes = b"") -> None:
        self._writer.write(preface + b"".join(frame.encoded for frame in frames))

    async def receive(self) -> Frame:
        """Return the next frame; settings are acknowledged. Raises OSError or EOFError when the connection ends."""
        head = await self._reader.readexactly(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        frame = Frame(kind, flags, stream, await self._reader.readexactly(int.from_bytes(head[:3], "big")))
        if kind == SETTINGS and not flags & ACK:
            self.send(Frame(SETTINGS, ACK, 0))
        return frame

    def close(self) -> None:
        self._writer.close()


def _literal(name: str, value: str) -> bytes:
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
