"""Writing a file so that nobody ever reads half of it."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, durably: bool = False) -> None:
    """Replaces a file, for us alone to read, in one step. Raises OSError.

    `durably`: it is on the disk before this returns. What can be made anew does not need that.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        if durably:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
