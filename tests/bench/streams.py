"""What passing chunks on at once brings to streams, and costs plain requests: `make bench-streams`."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import psutil
from bench.cluster import ORIGIN, folder
from controller import Controller
from streams import StreamOrigin, download, upload
from support import eventually, free_port

OPTION = "    option http-no-delay\n"
_CLIENTS = 16


class Cost(NamedTuple):
    """Of one plain request, in the HAProxy that passes it on. A packet is a system call that sends."""

    instructions: float
    packets: float


@click.command()
@click.option("--requests", default=4000, show_default=True, help="Plain requests of each measurement.")
@click.option("--chunks", default=100, show_default=True, help="Chunks of each stream, 20 ms apart.")
def main(requests: int, chunks: int) -> None:
    """Prints the delays of chunks and the cost of plain requests, with the option and without it."""
    with folder() as place:
        controller = Controller(place / "state")
        plain, streams = free_port(), free_port()
        try:
            controller.start()
            for name, port in ("plain", plain), ("streams", streams):
                given = {"servicePath": f"/{name}", "port": str(port), "outboundHostname": "127.0.0.1"}
                assert controller.reconfigure(name, **given).status == 200
            controller.api("/v1/reload")
        finally:
            controller.end()
        (place / "origin.cfg").write_text(ORIGIN.format(port=plain))
        ours = (controller.folder / "haproxy.cfg").read_text()
        assert OPTION in ours
        for what, text in ("with", ours), ("without", ours.replace(OPTION, "")):
            variant = controller.folder / f"{what}.cfg"
            # Callgrind writes its figures at the end, and could not from within a chroot.
            text = re.sub(r"    (chroot|user|group) .*\n", "", text)
            variant.write_text(text.replace("global\n", "global\n    nbthread 1\n", 1))
            with _running("haproxy", "-db", "-f", place / "origin.cfg", port=plain):
                delays = asyncio.run(_delays(variant, controller.traffic, streams, chunks))
                cost = _cost(variant, controller.traffic, requests)
            sys.stdout.write(
                f"{what:8} the option: chunks down {delays[0]:6.2f} ms, up {delays[1]:6.2f} ms (p50);"
                f" a plain request {cost.instructions:7.0f} instructions, {cost.packets:.3f} packets sent\n"
            )


async def _delays(configuration: Path, port: int, origin: int, chunks: int) -> tuple[float, float]:
    async with StreamOrigin(chunks).running(origin):
        with _running("haproxy", "-db", "-f", configuration, port=port):
            down = await download(port, "/streams", http2=False)
            up = await upload(port, "/streams", chunks, http2=False)
    return statistics.median(down), statistics.median(up)


def _cost(configuration: Path, port: int, requests: int) -> Cost:
    """Of what two runs differ in: starting HAProxy and opening connections cost the same in both."""
    few, many = (
        _counted(
            configuration,
            port,
            number,
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={configuration}.callgrind",
        )
        for number in (requests, 2 * requests)
    )
    sent_few, sent_many = (
        _counted(configuration, port, number, "strace", "-f", "-c", "-e", "trace=sendto,sendmsg,writev")
        for number in (requests, 2 * requests)
    )
    return Cost((many - few) / requests, (sent_many - sent_few) / requests)


def _counted(configuration: Path, port: int, requests: int, *counter: str) -> int:
    with _running(*counter, "haproxy", "-db", "-f", configuration, port=port) as said:
        url = f"http://127.0.0.1:{port}/plain"
        load = ["h2load", "--h1", "-n", str(requests), "-c", str(_CLIENTS), "-t", "1", url]
        result = subprocess.run(load, check=True, capture_output=True, text=True).stdout
        assert f"{requests} succeeded" in result, result
    found = re.search(r"Collected : (\d+)|100\.00 +\S+ +\d+ +(\d+) .*total", said[0])
    assert found, said[0]
    return int(found[1] or found[2])


@contextmanager
def _running(*command: str | Path, port: int) -> Iterator[list[str]]:
    """The program that listens on this port; what it has said is in the list at the end."""
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    eventually(lambda: _listens(port), within=30)
    try:
        yield said
    finally:
        # strace has HAProxy as a child, valgrind is it.
        counter = psutil.Process(process.pid)
        for haproxy in counter.children() or [counter]:
            haproxy.send_signal(signal.SIGTERM)
        said.append(process.communicate(timeout=60)[1])


def _listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


if __name__ == "__main__":
    main()
