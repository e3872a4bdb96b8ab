"""Keeps the services and certificates of the API the same on all replicas: each compares itself with every other one.

Differing records are sent in a separate call to a replica that has requested them and has proved its identity. No
answer contains them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn

import structlog

from flowproxy.background import WakeUp
from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster import agreement
from flowproxy.cluster.agreement import REMOVALS_KEPT_SECONDS, Key, Kind, Record
from flowproxy.cluster.replicas import Replicas, Reply
from flowproxy.errors import (
    InvalidCertificate,
    InvalidService,
    NotStored,
    OwnedElsewhere,
    Problem,
    ProxyUnavailable,
    ReplicaFailed,
)
from flowproxy.services.admission import Admission, Channel, ServiceRequest
from flowproxy.services.registry import Origin, Snapshot
from flowproxy.settings.model import Settings

_log = structlog.get_logger(__name__)

STATE = "/v1/docker-flow-proxy/replica/state"
RECORDS = "/v1/docker-flow-proxy/replica/records"
_DISAGREEING_PAUSE_SECONDS = 3.0
_REASON_CHARACTERS = 300


class _Disagreement(Exception):
    """The reason why another replica differs."""


class State(NamedTuple):
    """The state of a replica: the digest of its records, and the reason for each record that it rejected, by name."""

    digest: str
    refused: Mapping[str, str]


class ExchangeStatus(NamedTuple):
    """The result of the last comparison with the other replicas; `last_compared` is in seconds since 1970."""

    others: int
    agree: bool
    differing: Mapping[str, str]
    last_compared: float | None


class Exchange:
    """Exchanges records with the other replicas; `differing` holds the reason for each replica that differs."""

    def __init__(self, settings: Settings, admission: Admission, keyring: Keyring, replicas: Replicas) -> None:
        self._settings = settings
        self._admission = admission
        self._registry = admission.registry
        self._keyring = keyring
        self._replicas = replicas
        self._wake_up = WakeUp()
        self._taking = asyncio.Lock()
        self._others = 0
        self._refused: dict[Key, str] = {}
        self._compared: float | None = None
        self.differing: Mapping[str, str] = {}

    @property
    def status(self) -> ExchangeStatus:
        return ExchangeStatus(self._others, not self.differing, dict(self.differing), self._compared)

    def wake(self) -> None:
        """Start a comparison at once, because a call has changed something."""
        self._wake_up.call()

    async def run(self) -> NoReturn:
        while True:
            await self.compare()
            pause = self._settings.resync_interval
            await self._wake_up.wait(min(pause, _DISAGREEING_PAUSE_SECONDS) if self.differing else pause)

    async def compare(self) -> None:
        """Compare once with every other replica and send newer records in both directions."""
        self._registry.forget_removals(before=time.time() - REMOVALS_KEPT_SECONDS)
        others = await self._replicas.others()
        async with asyncio.TaskGroup() as comparisons:
            tasks = {address: comparisons.create_task(self._difference(address)) for address in others}
        differing = {address: reason for address, task in tasks.items() if (reason := task.result())}
        for address, reason in differing.items():
            if self.differing.get(address) != reason:
                _log.warning("replica disagrees", replica=address, reason=reason)
        for address in self.differing.keys() - differing.keys():
            _log.info("replica agrees again", replica=address)
        self._others, self.differing = len(others), differing
        self._compared = time.time() if others else None

    # Calls from other replicas

    async def compare_with(self, caller: str, said: Mapping[str, object]) -> State:
        """Return the state of this replica, after sending the caller what is newer here.

        Newer records of the caller are requested in a separate call, so that each side can verify the other one.

        Args:
            caller: the address of the replica that calls.
            said: the call's JSON object; `versions` holds the records that the caller knows.

        Raises:
            InvalidService: `versions` cannot be parsed.
            ReplicaFailed: the caller does not accept the records that it is sent.
        """
        if "versions" in said:
            try:
                theirs = agreement.versions_of(str(said["versions"]))
            except ValueError as error:
                raise InvalidService("", (Problem("versions", "", str(error)),)) from None
            mine = await self._records()
            known = agreement.versions(mine)
            try:
                await self._send(caller, (mine[key] for key in agreement.newer(known, theirs)))
                if agreement.newer(theirs, known) and not said.get("asked_back"):
                    await self._ask(caller, asked_back=True)
            except _Disagreement as error:
                raise ReplicaFailed(f"{caller}: {error}") from None
        known = agreement.versions(await self._records())
        return State(agreement.digest_of(known), {name: reason for (_, name), reason in self._refused.items()})

    async def take(self, text: str) -> None:
        """Accept the newer ones among the records of another replica. Raises InvalidService if not parsable."""
        try:
            records = agreement.records_of(text)
        except ValueError as error:
            raise InvalidService("", (Problem("records", "", str(error)),)) from None
        await self._take(records)

    # Calls to another replica

    async def _difference(self, address: str) -> str | None:
        """Exchange records with another replica; return why it still differs, or None if it agrees."""
        try:
            mine = await self._digest()
            reply = await self._tell(address, {"digest": mine})
            if reply.digest == mine:
                return None
            reply = await self._ask(address)
            if reply.digest == await self._digest():
                return None
            here = {name: reason for (_, name), reason in self._refused.items()}
            refused = "; ".join(f"{name}: {reason}" for name, reason in (here | dict(reply.refused)).items())
            return (refused or "its services or certificates from the API differ")[:_REASON_CHARACTERS]
        except _Disagreement as error:
            return str(error)[:_REASON_CHARACTERS]

    async def _ask(self, address: str, *, asked_back: bool = False) -> State:
        """Request what is newer on another replica. Raises _Disagreement."""
        known = agreement.versions(await self._records())
        return await self._tell(address, {"versions": agreement.as_json(known), "asked_back": asked_back})

    async def _tell(self, address: str, said: Mapping[str, object]) -> State:
        reply = await self._replicas.call(address, STATE, json.dumps(said))
        _require_success(reply)
        try:
            answer = json.loads(reply.text)
            return State(str(answer["digest"]), dict(answer["refused"]))
        except (ValueError, KeyError, TypeError):
            raise _Disagreement("its answer cannot be parsed; does it run another version?") from None

    async def _send(self, address: str, records: Iterable[Record]) -> None:
        """Raises _Disagreement."""
        for chunk in agreement.chunks(records):
            _require_success(await self._replicas.call(address, RECORDS, chunk))

    # Records of this replica

    async def _records(self) -> agreement.Records:
        return await asyncio.to_thread(_records, self._registry.snapshot(), self._keyring.shared())

    async def _digest(self) -> str:
        return agreement.digest_of(agreement.versions(await self._records()))

    async def _take(self, records: Iterable[Record]) -> None:
        """Accept the newer records, and remember why others were rejected."""
        async with self._taking:
            known = agreement.versions(await self._records())
            for record in records:
                present = known.get(record.key)
                if present is not None and present >= record.version:
                    continue
                try:
                    await self._take_one(record)
                except (InvalidService, InvalidCertificate, NotStored, OwnedElsewhere, ProxyUnavailable) as error:
                    self._refuse(record, str(error))
                else:
                    self._refused.pop(record.key, None)
                    _log.info(
                        "replica record accepted",
                        kind=str(record.kind),
                        name=record.name,
                        removed=record.content is None,
                    )

    def _refuse(self, record: Record, reason: str) -> None:
        if self._refused.get(record.key) != reason:
            _log.warning("replica record rejected", name=record.name, reason=reason)
        self._refused[record.key] = reason

    async def _take_one(self, record: Record) -> None:
        """Raises InvalidService, InvalidCertificate, NotStored, OwnedElsewhere, ProxyUnavailable."""
        if record.kind == Kind.CERTIFICATE:
            pem = (record.content or {}).get("pem", "")
            same = any(kept.name == record.name and kept.pem == pem for kept in self._keyring.kept())
            if not same and record.changed < self._keyring.changed_at(record.name):
                raise InvalidCertificate("the file of this name was written later than the certificate came by API")
            await self._keyring.put(record.name, pem, record.changed)
        elif record.content is None:
            if record.changed > time.time() - REMOVALS_KEPT_SECONDS:
                self._registry.remove(record.name, Origin.API, at=record.changed)
        else:
            request = ServiceRequest(
                Origin.API, record.created, record.content, changed=record.changed, channel=Channel.REPLICATED
            )
            service = self._admission.examine(request)
            if service.service_name != record.name:
                raise InvalidService(
                    record.name,
                    (Problem("serviceName", service.service_name, "does not match the name of the record"),),
                )
            self._admission.enter(request, service)


def _records(snapshot: Snapshot, certificates: Mapping[str, tuple[float, str]]) -> agreement.Records:
    services = (
        Record(Kind.SERVICE, name, entry.changed, entry.created, entry.parameters)
        for name, entry in snapshot.entries.items()
        if entry.origin == Origin.API and entry.changed
    )
    removals = (Record(Kind.SERVICE, name, at, 0.0, None) for name, at in snapshot.removed.items())
    shared = (
        Record(Kind.CERTIFICATE, name, changed, 0.0, {"pem": pem}) for name, (changed, pem) in certificates.items()
    )
    return agreement.by_key([*removals, *services, *shared])


def _require_success(reply: Reply) -> None:
    """Raises _Disagreement if the call failed."""
    if reply.status != 200:
        raise _Disagreement(f"{reply.status or 'no answer'}: {reply.text}")
