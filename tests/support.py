"""What tests of every kind use: waiting for a condition with a deadline, and free ports."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], within: float = 10.0) -> T:
    """What `check` returns as soon as it is true and raises neither AssertionError nor OSError."""
    deadline = time.monotonic() + within
    pause = 0.005
    while True:
        error: Exception | None = None
        try:
            if result := check():
                return result
        except (AssertionError, OSError) as raised:
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {error or check}") from error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def rounds(few: int, *, soak: int) -> int:
    """Return how often a test repeats what it does: `few` times, and in `make soak` more often.

    A test that calls this has the mark `longer`, by which `make soak` finds it.
    """
    return soak if "FLOWPROXY_SOAK" in os.environ else few


def free_port() -> int:
    """Return a port that nobody listens on, outside of those that the kernel gives to clients.

    Each process of tests takes its ports from a block of its own, so that two of them never get the same one.

    Raises:
        RuntimeError: every port of the block is taken.
    """
    ports = _own_ports()
    for _ in range(_BLOCK):
        port = next(ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise RuntimeError("every port of this process's block is taken")


_FIRST, _LAST, _BLOCK = 20000, 32000, 500


@functools.cache
def _own_ports() -> Iterator[int]:
    """Go round the first block that no other process has locked; the lock ends with this process."""
    for first in range(_FIRST, _LAST, _BLOCK):
        lock = Path(tempfile.gettempdir(), f"flowproxy-tests-ports-{first}").open("w")  # noqa: SIM115 - as long as this process runs
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _LOCKS.append(lock)
        return itertools.cycle(range(first, first + _BLOCK))
    raise RuntimeError(f"other processes of tests have every block of ports from {_FIRST} to {_LAST}")


_LOCKS: list[TextIO] = []
