"""Waits until something changes in some folders."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import structlog
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError  # its documented interface for direct use

_log = structlog.get_logger(__name__)

_QUIET_MS = 500  # without another change, before one is reported: a file may be written in several steps
_GROUPED_MS = 2000
_BEGIN_SECONDS = 5.0


class FolderWatch:
    """Watches some folders in a thread of its own, because one of a network file system may not answer.

    Such a file system reports no changes by other machines, so that its folders must be looked at now and then too.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="folders")
        self._watcher: RustNotify | None = None
        self._failure: str | None = None

    async def begin(self) -> None:
        """Report what changes from now on. Where folders cannot be watched, that is logged, once for each reason."""
        failure = None
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                self._watcher = await asyncio.get_running_loop().run_in_executor(self._thread, _begun, self._folders)
        except TimeoutError:
            self._watcher, failure = None, "the file system does not answer"
        except (OSError, WatchfilesRustInternalError) as error:
            self._watcher, failure = None, str(error)
        if failure and failure != self._failure:
            _log.warning("folder watch failed", folders=[str(folder) for folder in self._folders], reason=failure)
        self._failure = failure

    async def changed(self, within_s: float) -> None:
        """Return when something has changed since the beginning, and after `within_s` seconds at the latest."""
        watcher = self._watcher
        if watcher is None:
            await asyncio.sleep(within_s)
            return
        stop = threading.Event()
        wait = partial(watcher.watch, _GROUPED_MS, _QUIET_MS, round(within_s * 1000), stop)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, wait)
        finally:
            stop.set()


def _begun(folders: tuple[Path, ...]) -> RustNotify | None:
    """Return a watcher of those folders that there are; None when there are none."""
    present = [str(folder) for folder in folders if folder.is_dir()]
    if not present:
        return None
    return RustNotify(
        present, debug=False, force_polling=False, poll_delay_ms=0, recursive=False, ignore_permission_denied=True
    )
