"""What tests of every kind use: waiting for a condition with a deadline, and free ports."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable
from typing import TypeVar

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


def free_port() -> int:
    """A port that nobody listens on, outside of those that the kernel gives to clients, and given out only once."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise RuntimeError("every port from 20000 to 32000 is taken")


_PORTS = itertools.chain(range(20000 + os.getpid() * 7 % 11000, 32000), range(20000, 32000))
