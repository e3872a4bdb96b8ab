"""Writing a file so that nobody ever reads half of it."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY = ".new"  # how the name of a file ends that is not whole yet


def write_whole(path: Path, content: bytes, *, durably: bool = False) -> None:
    """Replaces a file, for us alone to read, in one step. Raises OSError.

    `durably`: its content is on the disk before this returns, and its name when the folder is `settled` too. What can
    be made anew needs neither.
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
    """Returns when the names of the files in a folder are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
