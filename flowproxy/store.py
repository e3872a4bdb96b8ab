"""The registered services on disk, one file each, so that a restart begins with what was known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import structlog

from flowproxy.errors import InvalidService
from flowproxy.files import write_durably
from flowproxy.parameters import parse
from flowproxy.registry import Entry, Origin

_log = structlog.get_logger(__name__)


class Store:
    """The folder `services` below the state folder."""

    def __init__(self, folder: Path, separator: str) -> None:
        self._folder = folder / "services"
        self._separator = separator
        self._saved: dict[str, Entry] = {}

    def load(self) -> Iterable[Entry]:
        """What was saved and can be read; what cannot is named in the log and left as it is."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                saved = json.loads(path.read_text())
                parameters = {str(key): str(value) for key, value in saved["parameters"].items()}
                entry = Entry(
                    parse(parameters, self._separator),
                    Origin(saved["origin"]),
                    float(saved["created"]),
                    parameters,
                )
            except (OSError, ValueError, KeyError, AttributeError, TypeError, InvalidService) as error:
                _log.warning("saved service is not used", file=str(path), reason=str(error))
                continue
            self._saved[entry.service.service_name] = entry
            yield entry

    def save(self, entries: Mapping[str, Entry]) -> None:
        """Durably writes what changed since the last time. Raises OSError."""
        for name, entry in entries.items():
            if self._saved.get(name) != entry:
                content = {
                    "origin": entry.origin,
                    "created": entry.created,
                    "parameters": dict(entry.parameters),
                }
                write_durably(self._path(name), json.dumps(content, indent=1).encode())
                self._saved[name] = entry
        for name in self._saved.keys() - entries.keys():
            self._path(name).unlink(missing_ok=True)
            del self._saved[name]

    def _path(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='')}.json"
