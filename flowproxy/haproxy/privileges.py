"""Privileges and limits of HAProxy's workers: their user, their empty root folder, and their connections."""

from __future__ import annotations

import os
import pwd
import resource
from pathlib import Path

from flowproxy.errors import ProxyUnavailable

_FEWEST_CONNECTIONS = 50
_CAP_SYS_CHROOT = 18  # capabilities(7), linux/capability.h


def quarter_of_connections() -> int:
    """Return a quarter of the connections that HAProxy may have: each takes two files (manual, `maxconn`)."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_FEWEST_CONNECTIONS, files // 8)


def empty_root(state: Path) -> Path | None:
    """Return a folder where a worker that was taken over finds nothing to read or write; None where workers may not
    lock themselves into one (CAP_SYS_CHROOT). Raises ProxyUnavailable."""
    if not _may_chroot():
        return None
    folder = state.resolve() / "empty"
    try:
        folder.mkdir(mode=0o500, parents=True, exist_ok=True)
    except OSError as error:
        raise ProxyUnavailable(f"FLOWPROXY_STATE_DIR: {folder}: {error.strerror}") from None
    return folder


def unprivileged_user() -> str | None:
    """Return the user that HAProxy's workers switch to if root starts them; None if they keep theirs."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("haproxy").pw_name
    except KeyError:
        return None


def _may_chroot() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return os.geteuid() == 0 and bool(effective >> _CAP_SYS_CHROOT & 1)
