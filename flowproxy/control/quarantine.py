"""Decides which version of each service may serve: the desired one, the last good one, or none at all."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Protocol

import structlog

from flowproxy.certificates.checks import CertificateChecks
from flowproxy.control.offenders import Offenders, Refused, find_offenders
from flowproxy.control.pipeline import Pipeline, Wanted
from flowproxy.errors import Rejected
from flowproxy.rendering.configuration import Configuration
from flowproxy.routing.ownership import HostOwners, settled
from flowproxy.services.parse import certificate_of
from flowproxy.services.registry import Entry

_log = structlog.get_logger(__name__)


class Checker(Protocol):
    """Checks a configuration with HAProxy."""

    async def check(self, configuration: Configuration) -> None:
        """Check the configuration. Raises Rejected, ProxyUnavailable or OSError."""


class Quarantine:
    """Keeps the last good version of each service, and the versions that HAProxy rejects with their reasons."""

    def __init__(
        self, pipeline: Pipeline, haproxy: Checker, certificates: CertificateChecks, owners: HostOwners | None = None
    ) -> None:
        """Args: `owners` is given if hosts belong to stacks."""
        self._pipeline = pipeline
        self._haproxy = haproxy
        self._certificates = certificates
        self._owners = owners
        self._foreign: Mapping[str, str] = {}
        self._rejected: Offenders = {}
        self.accepted: Mapping[str, Entry] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Return the reason for each rejected service, by name."""
        return {name: str(refused) for name, refused in self._rejected.items()}

    @property
    def blamed(self) -> frozenset[str]:
        """Return the rejected services with a parameter at fault."""
        return frozenset(name for name, refused in self._rejected.items() if refused.parameter)

    def last_good(self, wanted: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the last good version of each desired service that has one."""
        return {name: entry for name, entry in self.accepted.items() if name in wanted}

    def serving(
        self, wanted: Mapping[str, Entry], unsaved: Container[str]
    ) -> tuple[dict[str, Entry], Mapping[str, str]]:
        """Return the versions that may serve, and the reasons why others may not because of their hosts."""
        entries = {n: e for n, e in wanted.items() if not (n in unsaved or self._is_rejected(e))}
        entries |= {n: self.accepted[n] for n in wanted.keys() - entries.keys() if n in self.accepted}
        return self._with_own_hosts(entries)

    def accept(self, entries: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> None:
        """Record what HAProxy serves now, and forget rejections of versions that are no longer desired."""
        self.accepted = entries
        self._rejected = {n: r for n, r in self._rejected.items() if n in wanted and self._is_rejected(wanted[n])}

    async def refuse_certificates(self, wanted: Mapping[str, Entry]) -> None:
        """Quarantine the services whose certificate HAProxy rejects."""
        bringing = [entry for entry in wanted.values() if entry.service.service_cert]
        given = [(entry, certificate) for entry in bringing if (certificate := certificate_of(entry.service))]
        if not given:
            return
        refusals = await self._certificates.refusals(certificate for _, certificate in given)
        self._refuse(
            {
                entry.service.service_name: Refused(entry, refusals[certificate.pem], "serviceCert")
                for entry, certificate in given
                if certificate.pem in refusals and not self._is_rejected(entry)
            }
        )

    async def refuse_offenders(self, wanted: Wanted, excused: Container[str], error: Rejected) -> bool:
        """Quarantine the new or changed services that HAProxy rejects, except the `excused`; return whether there are
        any."""
        good = self.last_good(wanted.entries)
        changed = {
            name: entry
            for name, entry in wanted.entries.items()
            if good.get(name) != entry and name not in excused and not self._is_rejected(entry)
        }

        async def attempt(entries: Mapping[str, Entry]) -> None:
            await self._haproxy.check(self._pipeline.plan(wanted.only(entries)).configuration)

        found = await find_offenders(good, changed, error, attempt)
        self._refuse(found)
        return bool(found)

    def _refuse(self, offenders: Offenders) -> None:
        self._rejected |= offenders
        for name, refused in offenders.items():
            _log.warning("service quarantined", service=name, reason=str(refused))

    def _is_rejected(self, entry: Entry) -> bool:
        rejected = self._rejected.get(entry.service.service_name)
        return rejected is not None and rejected.entry.service == entry.service

    def _with_own_hosts(self, entries: dict[str, Entry]) -> tuple[dict[str, Entry], Mapping[str, str]]:
        """Return the services whose hosts belong to their own stack, and the reasons why the others are rejected."""
        if self._owners is None:
            return entries, {}
        good = self.last_good(entries)
        wanted, last = ({n: e.candidate for n, e in known.items()} for known in (entries, good))
        serving, refused = settled(self._owners, wanted, last)
        for name in refused.keys() - self._foreign.keys():
            _log.warning("service refused", service=name, reason=refused[name])
        self._foreign = refused
        return {n: entries[n] if c is wanted[n] else good[n] for n, c in serving.items()}, refused
