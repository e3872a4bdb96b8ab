"""What the registry holds, on disk, so that a restart begins with it: a file for each service, and one of endpoints."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import quote, unquote

import structlog

from flowproxy.files import settle, write_whole
from flowproxy.services.admission import ServiceRequest
from flowproxy.services.model import Endpoint
from flowproxy.services.registry import Entry, Origin, Snapshot

_log = structlog.get_logger(__name__)

Endpoints: TypeAlias = Mapping[str, tuple[Endpoint, ...]]

_KINDS = ("tasks", "addresses")


class Known(NamedTuple):
    """Saved endpoints of Swarm services and of host names, and when a complete listing confirmed them last, in seconds
    since 1970; None when it is not known."""

    tasks: Endpoints
    addresses: Endpoints
    confirmed: float | None

    def is_stale(self, now: float, after_s: float) -> bool:
        """Return whether the addresses may belong to other containers by now. An unknown age, or one that is negative
        because the clock was set back, counts as stale."""
        return self.confirmed is None or not 0 <= now - self.confirmed <= after_s


class Store:
    """The folder `services`, and the files `endpoints.json` and `removed.json`, of the state folder.

    Several threads may save: one writes at a time, and none writes a state older than the last one written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "services"
        self._endpoints_file = folder / "endpoints.json"
        self._removed_file = folder / "removed.json"
        self._saved_removed: Mapping[str, float] = {}
        self._saved: dict[str, ServiceRequest] = {}
        self._saved_endpoints: object = None
        self._saved_generation = -1
        self._turn = threading.Lock()
        self._unreadable: set[Path] = set()
        self._failing = False

    def load_endpoints(self) -> Known:
        """Return the saved endpoints; none when they cannot be read."""
        try:
            saved = json.loads(self._endpoints_file.read_text())
            tasks, addresses = ({k: tuple(Endpoint(*e) for e in v) for k, v in saved[n].items()} for n in _KINDS)
            confirmed = saved.get("confirmed")
            return Known(tasks, addresses, None if confirmed is None else float(confirmed))
        except FileNotFoundError:
            return Known({}, {}, None)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            self._unreadable.add(self._endpoints_file)
            _log.warning("saved endpoints ignored", file=str(self._endpoints_file), reason=str(error))
            return Known({}, {}, None)

    def load(self, admit: Callable[[ServiceRequest], bool], without: Container[Origin] = ()) -> None:
        """Pass each saved service to `admit`, which returns whether it is accepted.

        Unreadable or refused services are logged, and their files are kept. Services of the origins in `without`
        are left out, and removed by the next save.
        """
        for path in sorted(self._folder.glob("*.json")):
            try:
                request = _request_in(path.read_text())
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                self._unreadable.add(path)
                _log.warning("saved service is not used", file=str(path), reason=str(error))
                continue
            if request.origin in without or admit(request):
                self._saved[unquote(path.stem)] = request
            else:
                self._unreadable.add(path)
                _log.warning("saved service is not used", file=str(path), reason="it is refused")

    def load_removed(self) -> Mapping[str, float]:
        """Return the services that calls of the API have removed, with the times."""
        try:
            saved = json.loads(self._removed_file.read_text())
            self._saved_removed = {str(name): float(at) for name, at in saved.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError, TypeError) as error:
            self._unreadable.add(self._removed_file)
            _log.warning("saved removals are not used", file=str(self._removed_file), reason=str(error))
        return self._saved_removed

    def save(self, snapshot: Snapshot) -> Mapping[str, str]:
        """Durably write what changed since the last save; return the services that could not be written, each with the
        reason."""
        with self._turn:
            if snapshot.generation < self._saved_generation:
                return {}
            self._saved_generation = snapshot.generation
            unsaved = self._save_services(snapshot)
            self._save_endpoints(snapshot)
            self._save_removed(snapshot)
            self._log_unsaved(unsaved)
        return unsaved

    def save_endpoints(self, snapshot: Snapshot) -> None:
        """Write the endpoints and when they were confirmed, unless they are already on the disk."""
        with self._turn:
            if snapshot.generation >= self._saved_generation:
                self._save_endpoints(snapshot)

    def _save_services(self, snapshot: Snapshot) -> dict[str, str]:
        unsaved: dict[str, str] = {}
        entries = snapshot.entries
        changed = [name for name, entry in entries.items() if not _is_saved(entry, self._saved.get(name))]
        for name in changed:
            try:
                self._write(self._path(name), _described(entries[name]), durably=True)
                self._saved[name] = ServiceRequest(*entries[name][1:])
            except OSError as error:
                unsaved[name] = f"{self._folder} cannot be written: {error.strerror}"
        if changed and not unsaved:
            settle(self._folder)
        for name in self._saved.keys() - entries.keys():
            try:
                self._path(name).unlink(missing_ok=True)
                del self._saved[name]
            except OSError as error:
                unsaved[name] = f"{self._path(name)} cannot be removed: {error.strerror}"
        return unsaved

    def _save_endpoints(self, snapshot: Snapshot) -> None:
        endpoints = {name: getattr(snapshot, name) for name in (*_KINDS, "confirmed")}
        if endpoints != self._saved_endpoints:
            with contextlib.suppress(OSError):  # they are listed again at every start
                self._write(self._endpoints_file, json.dumps(endpoints), durably=False)
                self._saved_endpoints = endpoints

    def _save_removed(self, snapshot: Snapshot) -> None:
        if snapshot.removed != self._saved_removed:
            with contextlib.suppress(OSError):  # the services themselves are removed; this is for other replicas
                self._write(self._removed_file, json.dumps(snapshot.removed), durably=True)
                self._saved_removed = snapshot.removed

    def _log_unsaved(self, unsaved: Mapping[str, str]) -> None:
        """Log a failure once, until writing works again."""
        if unsaved and not self._failing:
            _log.error("state cannot be written", services=len(unsaved), reason=next(iter(unsaved.values())))
        self._failing = bool(unsaved)

    def _write(self, path: Path, content: str, *, durably: bool) -> None:
        """Write a file; one that could not be read at the start is renamed, not overwritten. Raises OSError."""
        if path in self._unreadable:
            path.replace(path.with_name(f"{path.name}.unreadable-{time.time_ns()}"))
            self._unreadable.remove(path)
        write_whole(path, content.encode(), durably=durably)

    def _path(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='')}.json"


def _request_in(text: str) -> ServiceRequest:
    """Parse a saved service. Raises ValueError, KeyError, AttributeError or TypeError for other texts."""
    saved = json.loads(text)
    parameters = {str(key): str(value) for key, value in saved["parameters"].items()}
    origin, created = Origin(saved["origin"]), float(saved["created"])
    changed = float(saved.get("changed", created if origin == Origin.API else 0.0))
    return ServiceRequest(origin, created, parameters, str(saved.get("stack", "")), changed)


def _is_saved(entry: Entry, saved: ServiceRequest | None) -> bool:
    return saved is not None and saved[:5] == entry[1:]


def _described(entry: Entry) -> str:
    content = {"origin": entry.origin, "created": entry.created, "parameters": dict(entry.parameters)}
    content["changed"] = entry.changed
    content |= {"stack": entry.stack} if entry.stack else {}
    return json.dumps(content, indent=1)
