"""Changes in folders are noticed, whatever becomes of the folders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from flowproxy.certificates import watch as module
from flowproxy.certificates.watch import FolderWatch


async def _noticed(watch: FolderWatch, change: Callable[[], object], within_s: float = 30.0) -> bool:
    """Whether a change that is made after the beginning ends the waiting."""
    begun = time.monotonic()
    await watch.begin()
    change()
    await watch.changed(within_s)
    return time.monotonic() - begun < within_s


async def test_a_file_that_comes_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    watch, file = FolderWatch(tmp_path), tmp_path / "a.pem"

    assert await _noticed(watch, lambda: file.write_text("one"))
    assert await _noticed(watch, lambda: file.write_text("two"))
    assert await _noticed(watch, lambda: file.rename(tmp_path / "b.pem"))
    assert await _noticed(watch, (tmp_path / "b.pem").unlink)


async def test_every_folder_is_watched_and_one_that_is_missing_is_left_out(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "missing", tmp_path / "two"]
    for folder in (folders[0], folders[2]):
        folder.mkdir()
    watch = FolderWatch(*folders)

    assert await _noticed(watch, lambda: (folders[2] / "a").write_text(""))
    assert await _noticed(watch, lambda: (folders[0] / "a").write_text(""))
    folders[1].mkdir()
    assert await _noticed(watch, lambda: (folders[1] / "a").write_text(""))


async def test_without_a_change_or_a_folder_it_returns_in_time(tmp_path: Path) -> None:
    for watch in (FolderWatch(tmp_path), FolderWatch(tmp_path / "missing")):
        assert not await _noticed(watch, lambda: None, within_s=0.1)


async def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    await watch.begin()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await watch.changed(3600)
    assert await _noticed(watch, lambda: (tmp_path / "a").write_text(""))


async def test_folders_that_cannot_be_watched_are_logged_once_and_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError("too many watches")

    monkeypatch.setattr(module, "_begun", fail)
    watch = FolderWatch(tmp_path)
    with capture_logs() as logs:
        for _ in range(2):
            assert not await _noticed(watch, lambda: None, within_s=0.05)
    assert [(line["event"], line["reason"]) for line in logs] == [("folder watch failed", "too many watches")]
