"""Flowproxy forked from a process that has imported it already: most of the time of a start goes into importing."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["flowproxy.app", "flowproxy.cli.main", "pytest"])


class Forked:
    """Is to tests what `subprocess.Popen` is, for `flowproxy` with these arguments."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        given = (arguments, dict(environment), log)
        self._process = _CONTEXT.Process(target=_run, args=given, daemon=True)
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("flowproxy", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(arguments: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
    """Become what `python -m flowproxy` with these arguments is, as far as Flowproxy can see."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = ["flowproxy", *arguments]
    os.environ.clear()
    os.environ.update(environment)

    from flowproxy.cli.main import main

    main()
