"""Networks of a test's own, in which packets can be lost without anybody else noticing."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def run(command: str) -> None:
    """Runs a program, and raises CalledProcessError when it fails."""
    subprocess.run(command.split(), check=True, timeout=60)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Puts this thread, and the threads and processes that it starts, into a network namespace."""
    enter = ctypes.CDLL(None, use_errno=True).setns
    with Path("/proc/thread-self/ns/net").open() as own, Path("/run/netns", namespace).open() as other:
        assert enter(other.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert enter(own.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
