"""What tests of every kind use: waiting for a condition with a deadline, and free ports."""

from __future__ import annotations

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
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
