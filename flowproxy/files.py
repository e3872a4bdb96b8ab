"""Files that are replaced in one step, so that no reader sees half of one."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY = ".new"  # the ending of a file that is still being written


def write_whole(path: Path, content: bytes, *, durably: bool = False) -> None:
    """Replace a file in one step; only our own user can read it. Raises OSError.

    Args:
        path: the file. Its folder is made when it is missing.
        content: what the file holds afterwards.
        durably: whether the content is on the disk before this returns. The name is so only after `settle`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            if durably:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def settle(folder: Path) -> None:
    """Return when the names of the files in a folder are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
