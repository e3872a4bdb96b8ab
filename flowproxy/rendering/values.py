"""Values that HAProxy looks up while it runs, so that another one needs no reload.

The lines of a backend name a slot, and the map holds a value for each backend and slot. So two services that use the
same features have the same lines, and a spare backend fits either.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowproxy.features import FEATURES
from flowproxy.routing.backends import Backend

VALUES = "values"  # the map
_BETWEEN = "|"  # a backend and its slot; no name of a backend holds it


def slots_of(backend: Backend) -> Mapping[str, str]:
    """Return the values of one backend by slot."""
    slots: dict[str, str] = {}
    for feature in FEATURES:
        if feature.values:
            slots |= feature.values(backend.service, backend.destination)
    return slots


def entries_of(slots: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Return the entries of the map. `slots` are the values of each backend, by its name and slot."""
    return {key(backend, slot): value for backend, values in slots.items() for slot, value in values.items()}


def key(backend: str, slot: str) -> str:
    """Return the key of the map."""
    return f"{backend}{_BETWEEN}{slot}"


def backend_of(entry: str) -> str:
    """Return the backend that a key of the map is for."""
    return entry.partition(_BETWEEN)[0]


def renamed(entries: Mapping[str, str], names: Mapping[str, str]) -> Mapping[str, str]:
    """Return the same entries under other names of their backends."""
    return {_renamed(entry, names): value for entry, value in entries.items()}


def _renamed(entry: str, names: Mapping[str, str]) -> str:
    backend, between, slot = entry.partition(_BETWEEN)
    return f"{names.get(backend, backend)}{between}{slot}"
