"""The owners of hosts with FLOWPROXY_HOSTS=stack: each host belongs to the stack of the oldest service that asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from flowproxy.routing.claims import asked_hosts
from flowproxy.routing.conditions import Condition, compares
from flowproxy.services.model import Candidate, Service


class _Asked(NamedTuple):
    names: frozenset[str]
    patterns: frozenset[Condition]


class HostOwners:
    """Decides which services may have their hosts, and remembers what each service asks for."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[Service, _Asked]] = {}

    def refusals(self, candidates: Iterable[Candidate]) -> dict[str, str]:
        """Return the services that ask for a host of another stack, each with the reason.

        A service that is refused owns nothing.
        """
        owned = _Owned()
        refused: dict[str, str] = {}
        asked: dict[str, tuple[Service, _Asked]] = {}
        for candidate in sorted(candidates, key=lambda candidate: candidate.age):
            name = candidate.service.service_name
            known = self._asked.get(name)
            try:
                if known is None or known[0] is not candidate.service:
                    known = (candidate.service, _asked(candidate.service))
                taken = next(owned.by_others(candidate, known[1]), None)
            except Exception as error:  # noqa: BLE001 - a bug that one service triggers must not stop the others
                refused[name] = f"its hosts cannot be compared with those of others: {type(error).__name__}: {error}"
                continue
            asked[name] = known
            if taken is None:
                owned.add(candidate, known[1].names)
            else:
                refused[name] = _reason(*taken)
        self._asked = asked
        return refused


class _Owned:
    """The hosts so far, as written, each with its owner.

    `_below` holds for each wildcard the owners of names below it, each with one such name.
    """

    def __init__(self) -> None:
        self._owners: dict[str, Candidate] = {}
        self._below: dict[str, dict[str, tuple[str, Candidate]]] = {}

    def add(self, candidate: Candidate, names: Iterable[str]) -> None:
        """Let a service own those of the names that have no owner yet."""
        for name in names:
            if self._owners.setdefault(name, candidate) is candidate:
                for wildcard in _wildcards(name):
                    self._below.setdefault(wildcard, {}).setdefault(candidate.owned_by, (name, candidate))

    def by_others(self, candidate: Candidate, asked: _Asked) -> Iterator[tuple[str, str, Candidate]]:
        """Yield what a service asks for and another stack owns, with the host in question and its owner."""
        for name in sorted(asked.names):
            nearest = next((host for host in (name, *_wildcards(name)) if host in self._owners), None)
            if nearest and not _grants(self._owners[nearest], candidate):
                yield name, nearest, self._owners[nearest]
            for host, owner in self._below.get(name, {}).values():
                if not _grants(owner, candidate):
                    yield name, host, owner
        for pattern in sorted(asked.patterns):
            for host, owner in self._owners.items():
                if not _grants(owner, candidate) and _may_cover(pattern, host):
                    yield str(pattern), host, owner


def _asked(service: Service) -> _Asked:
    names, patterns = asked_hosts(service)
    return _Asked(frozenset(names), frozenset(patterns))


def _wildcards(name: str) -> Iterator[str]:
    """Yield the wildcards that a host or a wildcard is below, the longest first."""
    labels = name.removeprefix("*.").split(".")
    for start in range(1, len(labels)):
        yield f"*.{'.'.join(labels[start:])}"


def _grants(owner: Candidate, candidate: Candidate) -> bool:
    return owner.service.share_host or owner.is_beside(candidate)


def _may_cover(pattern: Condition, host: str) -> bool:
    """Return whether a pattern may match the host or a name below the wildcard; True if that cannot be decided."""
    method = pattern.how.partition(" ")[0]
    if method == "reg":
        return True
    if not host.startswith("*."):
        return compares(pattern.how, host, pattern.values)
    ending = host[1:]
    if method == "str":
        return any(value.endswith(ending) for value in pattern.values)
    return method != "end" or any(value.endswith(ending) or ending.endswith(value) for value in pattern.values)


def _reason(asked: str, host: str, owner: Candidate) -> str:
    what = f"the host {asked}" if asked == host else f"{asked} meets the host {host}, which"
    return (
        f"{what} belongs to {owner.owned_by} (its oldest service is {owner.service.service_name});"
        " to let others use it, that service sets shareHost=true"
    )


def settled(
    owners: HostOwners, wanted: Mapping[str, Candidate], last_good: Mapping[str, Candidate]
) -> tuple[dict[str, Candidate], dict[str, str]]:
    """Return the services to serve, and those that are refused, each with the reason.

    The last good version of a refused service serves, if that is allowed.

    Args:
        owners: what is remembered of the services.
        wanted: the services as they ask now, by name.
        last_good: the last version of each that was served.
    """
    refused = owners.refusals(wanted.values())
    if not refused:
        return dict(wanted), {}
    serving = {
        name: last_good[name] if name in refused else candidate
        for name, candidate in wanted.items()
        if name not in refused or name in last_good
    }
    still = owners.refusals(serving.values())
    return {n: c for n, c in serving.items() if n not in still}, still | refused
