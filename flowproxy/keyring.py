"""The folder of certificates, and the secrets named cert-* and cert_*: read, watched, written to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import structlog

from flowproxy.certificate import Certificate, read_certificate
from flowproxy.errors import InvalidCertificate
from flowproxy.files import settle, write_whole
from flowproxy.registry import Registry

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0


class Keyring:
    """What lies in both folders, in the registry. A broken file is named in the log, and what it replaced stays."""

    def __init__(self, folder: Path, secrets: Path, registry: Registry) -> None:
        self.folder = folder
        self._secrets = secrets
        self._registry = registry
        self._seen: dict[Path, tuple[int, int]] = {}
        self._read: dict[Path, Certificate] = {}

    async def run(self) -> NoReturn:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> int:
        """Takes over what changed since the last look; returns the registry's generation that holds it."""
        await asyncio.to_thread(self._read_changes)
        return self._registry.certify({found.name: found for found in reversed(self._read.values())})

    def _read_changes(self) -> None:
        try:
            present = list(self._files())
        except OSError as error:
            _log.warning("certificates cannot be looked at", folder=str(error.filename), reason=error.strerror)
            return
        for path in present:
            try:
                state = path.stat()
                mark = (state.st_mtime_ns, state.st_size)
                if self._seen.get(path) == mark:
                    continue
                self._seen[path] = mark
                self._read[path] = read_certificate(path.name, path.read_text())
            except (OSError, UnicodeDecodeError, InvalidCertificate) as error:
                _log.warning("certificate is not used", file=str(path), reason=str(error))
        self._read = {path: found for path, found in self._read.items() if path in present}

    async def put(self, name: str, content: str) -> int:
        """Keeps a certificate that came by API. Raises InvalidCertificate; OSError when it cannot be written."""
        certificate = read_certificate(name, content)
        await asyncio.to_thread(self._write, self.folder / name, certificate.pem)
        return await self.look()

    @staticmethod
    def _write(path: Path, pem: str) -> None:
        write_whole(path, pem.encode(), durably=True)
        settle(path.parent)

    def kept(self) -> list[Certificate]:
        """What lies in the folder, by name; secrets are nobody else's."""
        return [found for path, found in sorted(self._read.items()) if path.parent == self.folder]

    def _files(self) -> Iterable[Path]:
        for folder, ours in ((self.folder, lambda name: True), (self._secrets, _is_certificate)):
            if folder.is_dir():
                yield from (
                    path
                    for path in sorted(folder.iterdir())
                    if path.is_file() and ours(path.name) and not path.name.endswith(".new")
                )


def _is_certificate(name: str) -> bool:
    return name.lower().startswith(("cert-", "cert_"))
