"""The errors that packages raise for each other; everything else is a bug. Each message says what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One wrong value: the public name of the parameter, its value, and what would be right."""

    parameter: str
    value: str
    rule: str

    def __str__(self) -> str:
        if not self.value or self.rule.startswith(repr(self.value)):
            return f"{self.parameter}: {self.rule}"
        return f"{self.parameter}: {self.value[:80]!r}: {self.rule}"


class InvalidService(ValueError):
    """A service's parameters are missing or wrong. Nothing was changed."""

    def __init__(self, service: str, problems: tuple[Problem, ...]) -> None:
        self.service = service
        self.problems = problems
        super().__init__(f"service {service or '(no name)'}: " + "; ".join(map(str, problems)))


class UnroutedService(InvalidService):
    """The parameters are right but ask for no route: neither a path nor a domain. Docker Flow Proxy answers 409."""


class Untrusted(InvalidService):
    """The parameters contain HAProxy configuration, which their source may not write (FLOWPROXY_RAW_CONFIG)."""


class Unauthorized(Exception):
    """A call without the token of the API."""


class ForeignPage(Exception):
    """A call that a web page of another origin made in a browser."""


class UnreadableBody(ValueError):
    """A request body that is compressed or not text."""


class NotReplica(Exception):
    """A call from outside that only replicas of the proxy may make."""


class NotSigned(NotReplica):
    """The signature of a replica does not match the call, or is too old."""


class InvalidCertificate(ValueError):
    """A PEM file that HAProxy must not get. The certificate that it should replace stays."""


class NotStored(Exception):
    """Something that should be kept cannot be written: the disk is full, say. Nothing was changed."""


class OwnedElsewhere(Exception):
    """The service is described by a source that outranks the caller, and differently."""


class InvalidSettings(ValueError):
    """Environment variables or secrets are wrong; the message has one line per mistake."""


class ReplicaFailed(Exception):
    """A call did not reach all replicas of the proxy."""


class ListenerFailed(Exception):
    """A Docker Flow Swarm Listener does not answer, or answers something unexpected."""


class Rejected(Exception):
    """HAProxy refuses a configuration. The message is HAProxy's own, without our file names.

    `services` are those whose parts HAProxy complains about, `lines` the lines themselves; both may be empty.
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
    """A template cannot be read or rendered, or writes something that it must not."""


class ProxyUnavailable(Exception):
    """HAProxy is not running, has no socket, or does not answer in time."""


class UnknownAddress(Exception):
    """The host name of a destination does not resolve."""


class SwarmUnavailable(Exception):
    """The Docker daemon cannot be reached or is not a Swarm manager. What is known stays."""
