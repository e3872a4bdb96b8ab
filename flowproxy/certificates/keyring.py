"""The folder of certificates, and the secrets named cert-* and cert_*: read, watched, written to."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TypeAlias

import structlog

from flowproxy.certificates.checks import CertificateChecks
from flowproxy.certificates.watch import FolderWatch
from flowproxy.errors import InvalidCertificate, NotStored, ProxyUnavailable
from flowproxy.files import TEMPORARY, settle, write_whole
from flowproxy.services.certificate import Certificate, read_certificate
from flowproxy.services.registry import Registry

_log = structlog.get_logger(__name__)

_RETRY_SECONDS = 5.0  # where HAProxy or the folder did not answer

Mark: TypeAlias = tuple[int, int, int, int]
Note: TypeAlias = tuple[float, str]  # when it came by API, and a digest of what came


class Keyring:
    """What lies in both folders, in the registry. A file that is no certificate, or that HAProxy does not take, is
    under `refused`, and what it replaced stays until it is repaired or removed."""

    def __init__(
        self, folder: Path, secrets: Path, registry: Registry, checks: CertificateChecks, notes: Path | None = None
    ) -> None:
        """`notes` is the file that keeps which certificates came by API, and when."""
        self.folder = folder
        self._notes_file = notes
        self._notes: dict[str, Note] = _read_notes(notes)
        self._secrets = secrets
        self._registry = registry
        self._checks = checks
        # Only the loop touches these, one change at a time: a thread is given what it needs, and returns what it read.
        self._changing = asyncio.Lock()
        self._marks: Mapping[Path, Mark] = {}
        self._used: Mapping[Path, Certificate] = {}
        self._refused: Mapping[Path, str] = {}
        self._unfinished = False  # the last look saw files that nobody could judge, or did not see all

    @property
    def refused(self) -> dict[str, str]:
        """The files that are not used, each with the reason."""
        return {str(path): reason for path, reason in self._refused.items()}

    async def run(self, longest_pause_s: float) -> NoReturn:
        """Look whenever something changes in the folders, and every `longest_pause_s` seconds all the same, because
        network file systems do not report what other machines change."""
        watch = FolderWatch(self.folder, self._secrets)
        while True:
            await watch.begin()  # before the look, so that it misses nothing
            await self.look()
            await watch.changed(min(longest_pause_s, _RETRY_SECONDS) if self._unfinished else longest_pause_s)

    async def look(self) -> int:
        """Load what changed since the last look; return the generation of the registry that contains it."""
        async with self._changing:
            return await self._look()

    async def put(self, name: str, content: str, changed: float | None = None) -> int:
        """Store a certificate from an API call; return the generation of the registry that contains it.

        After an error, nothing has changed.

        Args:
            changed: the time of the call in seconds since 1970, if the certificate is shared with other replicas.

        Raises:
            InvalidCertificate: the certificate or its name is invalid, or HAProxy rejects it.
            ProxyUnavailable: HAProxy cannot check it.
            NotStored: it cannot be written.
        """
        _require_seen(name)
        certificate = read_certificate(name, content)
        try:
            refusals = await self._checks.refusals([certificate])
        except OSError as error:
            raise NotStored(f"HAProxy cannot check certificate {name}: {error.strerror}") from None
        if certificate.pem in refusals:
            raise InvalidCertificate(f"certificate {name}: {refusals[certificate.pem]}")
        path = self.folder / name
        async with self._changing:
            try:
                await asyncio.to_thread(_write, path, certificate.pem)
            except IsADirectoryError:
                raise InvalidCertificate(f"certificate {name}: {path} is a folder; give another name") from None
            except OSError as error:
                raise NotStored(f"{path} cannot be written: {error.strerror}") from None
            # Two contents of the same length within one tick of the clock look alike.
            self._marks = {other: mark for other, mark in self._marks.items() if other != path}
            if changed is not None:
                self._notes[name] = (changed, _digest(certificate.pem))
                await self._keep_notes()
            return await self._look()

    async def _keep_notes(self) -> None:
        """Save the times of certificates. A failure is logged, and the certificates are used all the same."""
        try:
            await asyncio.to_thread(_write_notes, self._notes_file, dict(self._notes))
        except OSError as error:
            _log.warning("certificate times not saved", file=str(self._notes_file), reason=error.strerror)

    def shared(self) -> dict[str, tuple[float, str]]:
        """Return the time and PEM of each certificate from API calls, except those overwritten in the folder since."""
        pems = {certificate.name: certificate.pem for certificate in self.kept()}
        return {
            name: (changed, pems[name])
            for name, (changed, digest) in self._notes.items()
            if name in pems and _digest(pems[name]) == digest
        }

    def changed_at(self, name: str) -> float:
        """Return when a certificate came by API or was written into the folder, in seconds since 1970; 0 if unknown."""
        came, _ = self.shared().get(name, (0.0, ""))
        mark = self._marks.get(self.folder / name)
        return came or (mark[0] / 1e9 if mark else 0.0)

    def kept(self) -> list[Certificate]:
        """Return the certificates in the folder, sorted by path; secrets are not shared."""
        return [found for path, found in sorted(self._used.items()) if path.parent == self.folder]

    async def _look(self) -> int:
        self._unfinished = True
        try:
            marks, changed = await asyncio.to_thread(_read_changes, self.folder, self._secrets, self._marks)
        except OSError as error:
            _log.warning("certificate folder unreadable", folder=str(error.filename), reason=error.strerror)
            return self._certify()
        readable = {path: found for path, found in changed.items() if isinstance(found, Certificate)}
        before = {path: found for path, found in self._used.items() if path in marks}
        try:
            refusals = await self._checks.refusals([*before.values(), *readable.values()])
        except (ProxyUnavailable, OSError) as error:
            _log.warning("certificate check failed", reason=str(error))
            self._used = before
            return self._certify()
        troubles = {path: found for path, found in changed.items() if not isinstance(found, Certificate)}
        for path, found in (before | readable).items():
            if found.pem in refusals:
                troubles[path] = refusals[found.pem]
        for path, reason in troubles.items():
            if self._refused.get(path) != reason:
                _log.warning("certificate rejected", file=str(path), reason=reason)
        self._unfinished = False
        self._marks = marks
        self._refused = troubles | {
            path: reason for path, reason in self._refused.items() if path in marks and path not in changed
        }
        # What a refused file was to replace is used on.
        choices = {path: [*filter(None, (readable.get(path), before.get(path)))] for path in marks}
        good = {path: [found for found in given if found.pem not in refusals] for path, given in choices.items()}
        self._used = {path: given[0] for path, given in good.items() if given}
        return self._certify()

    def _certify(self) -> int:
        """Pass the certificates to the registry. A file in the folder takes precedence over a secret of its name."""
        secrets_first = sorted(self._used.items(), key=lambda item: (item[0].parent == self.folder, item[0]))
        return self._registry.certify({found.name: found for _, found in secrets_first})


def _read_changes(
    folder: Path, secrets: Path, known: Mapping[Path, Mark]
) -> tuple[dict[Path, Mark], dict[Path, Certificate | str]]:
    """Return the marks of all files, and of each whose mark is not the known one its certificate, or why it is none.

    Raises OSError when a folder cannot be listed.
    """
    marks: dict[Path, Mark] = {}
    changed: dict[Path, Certificate | str] = {}
    for path in _files(folder, secrets):
        try:
            state = path.stat()
            marks[path] = (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)
            if marks[path] != known.get(path):
                changed[path] = read_certificate(path.name, path.read_text())
        except FileNotFoundError:  # it was removed meanwhile
            marks.pop(path, None)
        except OSError as error:
            changed[path] = f"it cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            changed[path] = "it cannot be read: it is not text; give PEM"
        except InvalidCertificate as error:
            changed[path] = str(error)
    return marks, changed


def _files(folder: Path, secrets: Path) -> Iterator[Path]:
    for place, ours in ((folder, lambda name: True), (secrets, _is_certificate)):
        if place.is_dir():
            for path in sorted(place.iterdir()):
                if path.is_file() and ours(path.name) and not path.name.endswith(TEMPORARY):
                    yield path


def _require_seen(name: str) -> None:
    """Raise InvalidCertificate for the name of a file that a look passes over, because it may not be whole yet."""
    if name.endswith(TEMPORARY):
        raise InvalidCertificate(
            f"certificate {name}: files whose names end with {TEMPORARY} are not read, because they may be half"
            f" written; call it {name}.pem"
        )


def _read_notes(path: Path | None) -> dict[str, Note]:
    try:
        saved = json.loads(path.read_text()) if path else {}
        return {str(name): (float(changed), str(digest)) for name, (changed, digest) in saved.items()}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, AttributeError, TypeError) as error:
        _log.warning("certificate times not loaded", file=str(path), reason=str(error))
    return {}


def _write_notes(path: Path | None, notes: Mapping[str, Note]) -> None:
    if path is not None:
        write_whole(path, json.dumps(notes).encode(), durably=True)


def _digest(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()


def _write(path: Path, pem: str) -> None:
    write_whole(path, pem.encode(), durably=True)
    settle(path.parent)


def _is_certificate(name: str) -> bool:
    return name.lower().startswith(("cert-", "cert_"))
