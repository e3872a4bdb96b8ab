"""Small chunks of a stream are passed on at once, in both directions."""

from __future__ import annotations

import ssl
import statistics

import pytest
from controller import Running, Tls
from streams import StreamOrigin, download, upload

CHUNKS = 30
LIMIT_MS = 10


@pytest.mark.parametrize("compression", [False, True], ids=["plain", "compression"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
async def test_no_chunk_waits_for_the_next_one(
    running_tls: Running[Tls], http2: bool, encrypted: bool, compression: bool
) -> None:
    compressed = {"compressionAlgo": "gzip", "compressionType": "text/html"} if compression else {}
    tls = running_tls("localhost")
    context, port = None, tls.traffic
    if encrypted:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
        port = tls.tls
    async with StreamOrigin(CHUNKS).running() as origin:
        given = {"servicePath": "/", "port": str(origin), "outboundHostname": "127.0.0.1"} | compressed
        assert tls.reconfigure("stream", **given).status == 200

        down = await download(port, "/", http2=http2, tls=context)
        up = await upload(port, "/", CHUNKS, http2=http2, tls=context)

    assert len(down) == len(up) == CHUNKS
    assert statistics.median(down) < LIMIT_MS
    assert statistics.median(up) < LIMIT_MS
