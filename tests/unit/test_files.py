from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowproxy.files import TEMPORARY, settle, write_whole


def test_a_file_is_replaced_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, b"old")
    write_whole(path, b"new", durably=True)
    settle(path.parent)

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="folder"):
        write_whole(path, b"new")

    assert not (tmp_path / f"folder{TEMPORARY}").exists()
    assert (path / "kept").exists()
