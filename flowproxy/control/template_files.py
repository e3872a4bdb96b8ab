"""Reads the texts that rendering needs: templates, error pages, and the templates of services."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from flowproxy.errors import InvalidSettings
from flowproxy.rendering.materials import PAGES, Materials, TemplateFile, TemplateTexts, Unreadable
from flowproxy.services.model import Service
from flowproxy.settings.model import Settings

OURS = next(
    folder
    for folder in (Path(__file__).parents[1] / "templates", Path(__file__).parents[2] / "templates")
    if folder.is_dir()
)
_LARGEST = 1 << 20
_SYSTEM = ("/proc", "/sys", "/dev")


class _Refused(Exception):
    """The reason why a file cannot be used as a template."""


def read_materials(settings: Settings) -> Materials:
    """Read the templates and the error pages. Facts about HAProxy keep their default values.

    Raises InvalidSettings if a file of the operator cannot be read.
    """
    folders = [folder for folder in (settings.templates, OURS) if folder is not None]
    templates: dict[str, str] = {}
    for folder in reversed(folders):
        templates |= _texts_below(folder)
    return Materials(templates, {f"{code}.http": _page(settings, folders, code) for code in PAGES}, _base(settings))


class ServiceTemplateFiles:
    """Reads the templates that services name. They may not be in a folder of secrets, certificates or state."""

    def __init__(self, settings: Settings) -> None:
        closed = (settings.state_dir, settings.certs, settings.secrets, *map(Path, _SYSTEM))
        self._closed = tuple(path.resolve() for path in closed)

    async def read(self, services: Iterable[Service]) -> TemplateTexts:
        """Return the templates that these services name, by path: the text, or the reason why it cannot be used."""
        paths = {path for s in services for path in (s.template_fe_path, s.template_be_path) if path}
        return await asyncio.to_thread(self._read_all, paths) if paths else {}

    def _read_all(self, paths: Iterable[str]) -> TemplateTexts:
        return {path: self._read(path) for path in paths}

    def _read(self, path: str) -> str | Unreadable:
        real = Path(path).resolve()
        if any(real.is_relative_to(folder) for folder in self._closed):
            return Unreadable("templates may not be read from this folder")
        try:
            return _read(real)
        except _Refused as error:
            return Unreadable(str(error))


def _read(path: Path) -> str:
    """Raises _Refused."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            raise _Refused("it is not a regular file; give the path of a text file")
        if status.st_size > _LARGEST:
            raise _Refused(f"it has more than {_LARGEST} bytes")
        return path.read_text()
    except OSError as error:
        raise _Refused(str(error.strerror)) from None
    except UnicodeDecodeError:
        raise _Refused("it is not UTF-8 text") from None


def _texts_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each template below a folder with its relative path. Files that are not text are skipped."""
    for place, _, names in os.walk(folder, followlinks=True):
        for path in (Path(place, name) for name in names):
            try:
                yield str(path.relative_to(folder)), _read(path)
            except _Refused:
                continue


def _base(settings: Settings) -> TemplateFile | None:
    given = settings.cfg_template_path
    if given is None:
        return None
    path = given if given.is_absolute() else (settings.templates or OURS) / given
    try:
        return TemplateFile(str(path), _read(path))
    except _Refused as error:
        raise InvalidSettings(f"template {path}: {error}") from None


def _page(settings: Settings, folders: Iterable[Path], code: int) -> bytes:
    candidates = [
        settings.errorfiles / f"{code}.http",
        *(folder / "errors" / f"{code}.http" for folder in folders),
    ]
    return next(page for page in candidates if page.is_file()).read_bytes()
