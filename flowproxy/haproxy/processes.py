"""Signals to, and the end of, processes that need not be child processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it exists."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def ends(pid: int, within: float) -> bool:
    """Return whether the process ends within so many seconds."""
    try:
        async with asyncio.timeout(within):
            await end_of(pid)
    except TimeoutError:
        return False
    return True


async def end_of(pid: int) -> None:
    """Return when the process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
