"""The files that HAProxy reads, in the state folder.

`default-path config` makes the paths in haproxy.cfg relative to it: a candidate in another folder is checked as it will
run, and a map keeps its name in the runtime API.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

import structlog

from flowproxy.errors import ProxyUnavailable
from flowproxy.files import write_whole
from flowproxy.rendering.acls import LISTS
from flowproxy.rendering.configuration import CRT_LIST

_log = structlog.get_logger(__name__)

_CANDIDATE = "candidate-"


class StateFolder:
    """Reads and writes the files. Except for `claim` and `release`, the methods block; call them in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unwritten: str | None = None  # why what runs is not on the disk
        self._written: dict[str, bytes] = {}
        self._lock: int | None = None

    def claim(self) -> None:
        """Create the folder, and lock it against other controllers. Raises ProxyUnavailable."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProxyUnavailable(
                f"another controller works in {self.path}; stop it, or set FLOWPROXY_STATE_DIR to another folder"
            ) from None
        except OSError as error:
            raise ProxyUnavailable(f"FLOWPROXY_STATE_DIR: {self.path}: {error.strerror}") from None
        for left in self.path.glob(f"{_CANDIDATE}*"):  # by a controller that was killed
            shutil.rmtree(left, ignore_errors=True)

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the content of each file that exists."""
        found = {}
        for path in paths:
            with contextlib.suppress(OSError):
                found[path] = (self.path / path).read_bytes()
        return found

    def trust_only(self, files: Mapping[str, bytes]) -> None:
        """Rewrite all other files at the next write: they may have been changed by hand."""
        self._written = dict(files)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write what differs, the maps before the configuration that asks them. Raises OSError."""
        for path, content in files.items():
            if self._written.get(path) != content:
                write_whole(self.path / path, content)
                self._written[path] = content

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Write files whose changes are already live: a full disk does not undo them."""
        try:
            self.write(files)
            self.unwritten = None
        except OSError as error:
            if self.unwritten is None:
                _log.error("configuration not written", folder=str(self.path), reason=error.strerror)
            self.unwritten = f"{self.path} cannot be written: {error.strerror}"

    def forget_lists(self, files: Container[str]) -> None:
        """Delete the files of values that no rule names any more: each change of a list has made a new one."""
        for path in (self.path / LISTS).glob("*"):
            name = f"{LISTS}/{path.name}"
            if name not in files:
                path.unlink(missing_ok=True)
                self._written.pop(name, None)

    def write_candidate(self, files: Mapping[str, bytes]) -> Path:
        """Return a new folder with these files, for a check.

        A state folder that cannot be written does not keep HAProxy from looking at them. Raises OSError when nothing
        can be written anywhere.
        """
        try:
            return self._candidate_below(self.path, files)
        except OSError:
            return self._candidate_below(Path(tempfile.gettempdir()), files)

    def _candidate_below(self, place: Path, files: Mapping[str, bytes]) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=_CANDIDATE, dir=place))
        try:
            for path, content in self._moved(files, folder):
                (folder / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def _moved(self, files: Mapping[str, bytes], folder: Path) -> Iterator[tuple[str, bytes]]:
        """The one path that is not relative is changed: other programs look for it in the configuration."""
        here, there = (str(parent / CRT_LIST).encode() for parent in (self.path, folder))
        for path, content in files.items():
            yield path, content.replace(here, there) if path == "haproxy.cfg" else content
