"""The errors that cross a module's border; everything else is a bug. Each message says what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One wrong value: the public name of the parameter, what it held, and the rule with its cure."""

    parameter: str
    value: str
    rule: str

    def __str__(self) -> str:
        told = not self.value or self.rule.startswith(repr(self.value))
        return f"{self.parameter}: {self.rule}" if told else f"{self.parameter}: {self.value[:80]!r}: {self.rule}"


class InvalidService(ValueError):
    """A service's parameters are missing or wrong. Nothing was changed."""

    def __init__(self, service: str, problems: tuple[Problem, ...]) -> None:
        self.service = service
        self.problems = problems
        super().__init__(f"service {service or '(no name)'}: " + "; ".join(map(str, problems)))


class UnroutedService(InvalidService):
    """The parameters are right but ask for no route: neither a path nor a domain. Docker Flow Proxy answers 409."""


class Untrusted(InvalidService):
    """The parameters are HAProxy configuration, from somebody who may not write it (FLOWPROXY_RAW_CONFIG)."""


class Unauthorized(Exception):
    """A call without the token of the API."""


class ForeignPage(Exception):
    """A call that a web page of another origin made in somebody's browser."""


class UnreadableBody(ValueError):
    """A body that is compressed or no text."""


class NotReplica(Exception):
    """A call that only replicas of the proxy may make, from somebody else."""


class NotSigned(NotReplica):
    """A signature of a replica that does not fit the call, or is too old."""


class InvalidCertificate(ValueError):
    """A PEM file that HAProxy should not be given. What it was to replace stays."""


class NotStored(Exception):
    """Something that should be kept cannot be written: the disk is full, say. Nothing was changed."""


class OwnedElsewhere(Exception):
    """The service is described by a source that outranks the caller, and differently."""


class InvalidSettings(ValueError):
    """Environment variables or secrets are wrong: one line per mistake."""


class ReplicaFailed(Exception):
    """A call that was to reach all replicas of the proxy did not."""


class ListenerFailed(Exception):
    """A Docker Flow Swarm Listener does not answer, or not as it should."""


class Rejected(Exception):
    """HAProxy refuses a configuration; the message is HAProxy's own, without file names of ours.

    `services` are those in whose parts it found something, `lines` what it found it in; both may be empty.
    """

    def __init__(self, message: str, services: Iterable[str] = (), lines: Iterable[str] = ()) -> None:
        self.services = frozenset(services)
        self.lines = tuple(lines)
        super().__init__(message)


class ParameterRejected(Rejected):
    """HAProxy refuses the value of a parameter of a service; the message begins with the parameter."""


class ForeignHost(Rejected):
    """A service asks for a host that belongs to another stack (FLOWPROXY_HOSTS)."""


class InvalidTemplate(Rejected):
    """A template cannot be read or rendered, or says what it must not."""


class ProxyUnavailable(Exception):
    """No HAProxy, no socket, or no answer in time."""


class UnknownAddress(Exception):
    """A host name that servers should come from does not resolve."""


class SwarmUnavailable(Exception):
    """The Docker daemon is out of reach or is no Swarm manager. What was known stays."""
