"""What replicas share: services that came by API, their removals, and certificates. Of two versions the newer wins."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

REMOVALS_KEPT_SECONDS = 7 * 86400.0
_CHUNK_CHARACTERS = 400_000  # of one call; less than the API takes


class Kind(StrEnum):
    SERVICE = "service"
    CERTIFICATE = "certificate"


Key: TypeAlias = tuple[Kind, str]


class Version(NamedTuple):
    """Which of two records is newer: the one that was changed later, and of two changed at one moment any, but the
    same one everywhere."""

    changed: float
    digest: str


class Record(NamedTuple):
    """One shared thing. `changed` and `created` are seconds since 1970. `content` holds the parameters of a service,
    or the `pem` of a certificate; None when a service was removed."""

    kind: Kind
    name: str
    changed: float
    created: float
    content: Mapping[str, str] | None

    @property
    def key(self) -> Key:
        return self.kind, self.name

    @property
    def version(self) -> Version:
        text = json.dumps([self.created, self.content], sort_keys=True)
        return Version(self.changed, hashlib.sha256(text.encode()).hexdigest()[:32])


Records: TypeAlias = Mapping[Key, Record]
Versions: TypeAlias = Mapping[Key, Version]


def by_key(records: Iterable[Record]) -> Records:
    return {record.key: record for record in records}


def versions(records: Records) -> Versions:
    """Return what may be shown for a comparison: no parameters and no keys."""
    return {key: record.version for key, record in records.items()}


def digest_of(known: Versions) -> str:
    """Return the same text for the same versions, and for others another one."""
    return hashlib.sha256(as_json(known).encode()).hexdigest()[:32]


def newer(mine: Versions, theirs: Versions) -> list[Key]:
    """Return what is newer in the first, or only there."""
    return sorted(key for key, version in mine.items() if key not in theirs or theirs[key] < version)


def as_json(known: Versions) -> str:
    return json.dumps(sorted([*key, *version] for key, version in known.items()))


def versions_of(text: str) -> Versions:
    """Parse the output of `as_json`. Raises ValueError for any other text."""
    items = _listed(text)
    if not all(isinstance(item, list) and len(item) == 4 for item in items):
        raise ValueError("must be a list of [kind, name, changed, digest]")
    return {(Kind(kind), str(name)): Version(_moment(changed), str(digest)) for kind, name, changed, digest in items}


def chunks(records: Iterable[Record]) -> Iterable[str]:
    """Yield the records as texts, each small enough for one call unless a single record is longer."""
    texts: list[str] = []
    size = 0
    for record in records:
        text = json.dumps(record)
        if texts and size + len(text) > _CHUNK_CHARACTERS:
            yield f"[{','.join(texts)}]"
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield f"[{','.join(texts)}]"


def records_of(text: str) -> list[Record]:
    """Parse a text of `chunks`. Raises ValueError for any other text."""
    records = []
    for item in _listed(text):
        if not isinstance(item, list) or len(item) != 5:
            raise ValueError("must be a list of [kind, name, changed, created, content]")
        kind, name, changed, created, content = item
        if content is not None and not isinstance(content, dict):
            raise ValueError(f"{name}: its content must be an object or null")
        texts = None if content is None else {str(key): str(value) for key, value in content.items()}
        records.append(Record(Kind(kind), str(name), _moment(changed), _moment(created), texts))
    return records


def _listed(text: str) -> list[Any]:
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise ValueError("must be a list")
    return listed


def _moment(given: object) -> float:
    if isinstance(given, int | float) and 0 <= given < math.inf:
        return float(given)
    raise ValueError(f"{given!r}: must be seconds since 1970")
