"""The HAProxy program: what it was built with, whether it accepts a configuration, and its start."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.verdicts import verdict
from flowproxy.rendering.parts import Text

_CHECK_SECONDS = 60.0
_PASSED_ON = ("PATH", "LANG", "TZ")


class Abilities(NamedTuple):
    """`exporter` is whether HAProxy has its exporter for Prometheus, `match_limits` whether its regular expressions are
    PCRE's, which take a limit in front of them."""

    exporter: bool
    match_limits: bool


class Program:
    """One HAProxy program, by its name or path."""

    def __init__(self, path: str, environment: Mapping[str, str]) -> None:
        """Args: `environment` holds the variables of this process. HAProxy gets only a few harmless ones, because its
        configuration can read them."""
        self._path = path
        self._environment = {name: value for name, value in environment.items() if name in _PASSED_ON}

    def require(self) -> None:
        """Check that the program exists. Raises ProxyUnavailable if not."""
        if shutil.which(self._path) is None:
            raise ProxyUnavailable(
                f"there is no program {self._path!r}; install HAProxy 2.6 or newer"
                " (apt-get install haproxy), or set FLOWPROXY_HAPROXY to its path"
            )

    async def abilities(self) -> Abilities:
        """Return what this build of HAProxy can do."""
        build = await self._build()
        return Abilities("Prometheus exporter" in build, re.search(r"\+PCRE2?\b", build) is not None)

    async def check(self, folder: Path, configuration: Callable[[], Text]) -> None:
        """Check the files of a folder with HAProxy; `configuration` returns haproxy.cfg.

        Raises:
            Rejected: HAProxy rejects them.
            ProxyUnavailable: the check did not finish in time.
        """
        process = await asyncio.create_subprocess_exec(
            self._path,
            "-c",
            "-f",
            str(folder / "haproxy.cfg"),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                _, said = await process.communicate()
        except TimeoutError:
            raise ProxyUnavailable(f"haproxy -c took more than {_CHECK_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise verdict(said.decode(errors="replace"), configuration())

    async def start(self, folder: Path) -> asyncio.subprocess.Process:
        """Start a master with the files of a folder, in a session of its own, so that it outlives this process.

        Raises OSError.
        """
        return await asyncio.create_subprocess_exec(
            self._path,
            "-W",
            "-S",
            str(folder / "master.sock"),
            "-f",
            str(folder / "haproxy.cfg"),
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment,
            # Its log goes to standard output. Standard error reports every backend as stopped at each reload.
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _build(self) -> str:
        """Return the output of `haproxy -vv`; empty if there is no program."""
        try:
            process = await asyncio.create_subprocess_exec(self._path, "-vv", stdout=asyncio.subprocess.PIPE)
        except OSError:
            return ""
        said, _ = await process.communicate()
        return said.decode(errors="replace")
