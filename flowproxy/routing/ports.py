"""The ports of tcp and sni destinations: which service has which, and what decides between those that share one.

A port or a group belongs to the oldest service that asks for it; the others share it on its terms.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic.alias_generators import to_camel

from flowproxy.routing.backends import Backend, unique_name
from flowproxy.routing.table import FOLDER, Conflict, RouteTable
from flowproxy.services.model import Candidate, Destination, Service
from flowproxy.text.patterns.cost import reach_of
from flowproxy.text.patterns.limits import LONGEST_HOST, SEARCHING

HTTP = "the http routes"
_KINDS = ("str", "end")  # the most specific first; all others come after them


class Choice(NamedTuple):
    """A backend for connections whose TLS server name, or whose host in plain HTTP, matches one of the values.

    `fetches` are HAProxy's samples, `how` is its matching method with flags.
    """

    fetches: tuple[str, ...]
    how: str
    values: tuple[str, ...]
    backend: str
    holder: Candidate

    @property
    def kind(self) -> str:
        """HAProxy's matching method without its flags."""
        return self.how.partition(" ")[0]

    @property
    def rank(self) -> tuple[object, ...]:
        """The sort key that puts whole names first, then longer endings, then other patterns; equals by seniority."""
        order = _KINDS.index(self.kind) if self.kind in _KINDS else len(_KINDS)
        return (order, -len(self.values[0]) if self.kind == "end" else 0, self.holder.seniority)

    @property
    def method(self) -> str:
        return self.how

    @property
    def reach(self) -> int | None:
        """The length of the longest name that is searched for the values; None if the method does not search."""
        if self.how.startswith("reg"):
            return reach_of(self.values, LONGEST_HOST)
        return LONGEST_HOST if self.how.startswith(SEARCHING) else None


class Listener(NamedTuple):
    """A frontend in TCP mode, shared by services.

    Attributes:
        port: the port.
        mode: tcp or sni.
        holder: the oldest service.
        destination: its destination, which agrees with the others' in all that the frontend says.
        choices: the backends, in the order in which they are tried.
        default: the backend of connections that match no choice.
        beside_http: whether such connections are the TLS of the http routes.
        log_format: HAProxy's log-format, if all services ask for the same one.
    """

    port: int
    mode: str
    holder: Candidate
    destination: Destination
    choices: tuple[Choice, ...]
    default: str | None
    beside_http: bool
    log_format: str | None = None

    @property
    def owner(self) -> Service:
        return self.holder.service

    @property
    def name(self) -> str:
        return f"tcpFE_{self.port}" if self.mode == "tcp" else f"service_{self.port}"


class Listeners(NamedTuple):
    """The frontends and their backends. `warnings` are about services, by name, that ask for the same thing twice."""

    listeners: tuple[Listener, ...]
    backends: tuple[Backend, ...]
    conflicts: tuple[Conflict, ...]
    warnings: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class HttpNames:
    """The owners of TLS server names on ports of the http routes.

    `certified` are the names of the certificates in the folder, which no service can have there.
    """

    table: RouteTable | None = None
    certified: frozenset[str] = frozenset()

    def is_certified(self, name: str) -> bool:
        """Return whether a certificate of the folder is for this name."""
        return name in self.certified or f"*.{name.partition('.')[2]}" in self.certified

    def holders(self, name: str) -> list[Candidate]:
        """Return the services with an http route for this host, the oldest first."""
        return sorted(self.table.holders(name), key=lambda holder: holder.age) if self.table else []


def compile_listeners(
    candidates: Iterable[Candidate], http_ports: Mapping[int, bool], http: HttpNames | None = None
) -> Listeners:
    """Return the frontends of tcp and sni destinations.

    Args:
        candidates: the services.
        http_ports: the ports of the http routes, each with whether it uses TLS.
        http: the owners of the names on those ports.
    """
    return _Compilation(http_ports, http or HttpNames()).of(candidates)


class _Compilation:
    """Collects the listeners of services, from the oldest to the youngest."""

    def __init__(self, http_ports: Mapping[int, bool], http: HttpNames) -> None:
        self._http_ports = http_ports
        self._http = http
        self._listeners: dict[int, Listener] = {}
        self._backends: dict[str, Backend] = {}
        self._formats: dict[int, set[str | None]] = defaultdict(set)
        self._conflicts: dict[Conflict, None] = {}
        self._warnings: dict[str, list[str]] = defaultdict(list)

    def of(self, candidates: Iterable[Candidate]) -> Listeners:
        """Return the listeners of these services."""
        for candidate, destination in _wanted(candidates):
            self._add(candidate, destination)
        listeners = [self._finished(listener) for _, listener in sorted(self._listeners.items())]
        return Listeners(
            tuple(listeners),
            tuple(sorted(self._backends.values(), key=lambda backend: backend.name)),
            tuple(self._conflicts),
            {name: tuple(texts) for name, texts in self._warnings.items()},
        )

    def _add(self, candidate: Candidate, destination: Destination) -> None:
        port = destination.src_port or 0
        present = self._listeners.get(port) or self._new(candidate, destination)
        if reason := self._clash_with_http(present, candidate, destination):
            self._lose(f"port {port}: {reason}", HTTP, candidate)
            return
        if reason := _clash(present, candidate, destination):
            self._lose(f"port {port}: {reason}", present.owner.service_name, candidate)
            return
        backend = _backend(candidate.service, destination)
        choices = list(_choices(candidate, destination, backend.name))
        if present.beside_http:
            choices = [left for choice in choices if (left := self._without_names_of_http(choice, port)).values]
            if not choices:
                return
        first = self._backends.get(backend.name)
        self._backends[backend.name] = first._replace(targets=first.targets + backend.targets) if first else backend
        service = candidate.service
        self._formats[port].add(service.debug_format if service.debug else None)
        self._listeners[port] = present._replace(
            choices=(*present.choices, *choices), default=present.default if choices else backend.name
        )

    def _new(self, candidate: Candidate, destination: Destination) -> Listener:
        port = destination.src_port or 0
        return Listener(port, destination.req_mode, candidate, destination, (), None, self._http_ports.get(port, False))

    def _clash_with_http(self, present: Listener, candidate: Candidate, destination: Destination) -> str | None:
        """Return why a destination cannot have this port because of the http routes; None if it can."""
        if present.port in self._http_ports and (destination.req_mode == "tcp" or not self._http_ports[present.port]):
            return "it is a port of the http routes or of the statistics"
        if present.beside_http and any(choice.kind != "str" for choice in _choices(candidate, destination, "")):
            return "it is a port of the http routes too, where only whole server names are taken and no patterns"
        return None

    def _without_names_of_http(self, choice: Choice, port: int) -> Choice:
        """Return the choice without names of the folder or of older http services. Younger ones lose the name."""
        kept = []
        for value in choice.values:
            name = value.lower().rstrip(".")
            holders = [other for other in self._http.holders(name) if not _is_same(other, choice.holder)]
            what = f"port {port}: the TLS of {name}"
            if self._http.is_certified(name):
                self._lose(what, FOLDER, choice.holder)
            elif holders and holders[0].age < choice.holder.age:
                self._lose(what, holders[0].service.service_name, choice.holder)
            else:
                kept.append(value)
                for other in holders:
                    self._lose(what, choice.holder.service.service_name, other)
        return choice._replace(values=tuple(kept))

    def _finished(self, listener: Listener) -> Listener:
        """Return the listener with its choices in order, each name in only one, and the log format that all ask for."""
        taken: dict[tuple[str, str], Choice] = {}
        choices = []
        for choice in sorted(listener.choices, key=lambda choice: choice.rank):
            own = []
            for value in choice.values:
                first = taken.setdefault((choice.kind, value.lower()), choice)
                if first is choice:
                    own.append(value)
                elif first.backend != choice.backend:
                    what = f"port {listener.port}: the server name {value}"
                    self._lose(what, first.holder.service.service_name, choice.holder)
            if own:
                choices.append(choice._replace(values=tuple(own)))
        formats = self._formats[listener.port]
        log_format = next(iter(formats)) if len(formats) == 1 and not listener.beside_http else None
        return listener._replace(choices=tuple(choices), log_format=log_format)

    def _lose(self, what: str, winner: str, loser: Candidate) -> None:
        """Note a conflict, or a warning when a service loses against itself."""
        name = loser.service.service_name
        if winner == name:
            self._warnings[name].append(f"{what}: another destination of this service has it already")
        else:
            self._conflicts[Conflict(what, winner, name)] = None


def _wanted(candidates: Iterable[Candidate]) -> Iterable[tuple[Candidate, Destination]]:
    for candidate in sorted(candidates, key=lambda candidate: candidate.age):
        for destination in candidate.service.destinations:
            if candidate.service.template_fe_path:
                continue
            if destination.req_mode != "http" and destination.src_port and destination.port:
                yield candidate, destination


def _clash(present: Listener, candidate: Candidate, destination: Destination) -> str | None:
    """Return why a destination cannot share a port; None if it can."""
    first = present.destination
    if present.mode != destination.req_mode:
        return f"it is used for {present.mode}, not for {destination.req_mode}"
    in_frontend = () if present.beside_http else ("timeout_client", "clitcpka")
    for name in (*in_frontend, "service_group", "balance_group"):
        if getattr(first, name) != getattr(destination, name):
            return f"its {to_camel(name)} is {getattr(first, name)}, not {getattr(destination, name)}"
    if destination.service_group and not _may_join(present, candidate, destination):
        return (
            f"its group {destination.service_group} is that of {present.holder.owned_by};"
            " to join it, both need the same groupToken"
        )
    if destination.service_group or destination.req_mode == "sni" or destination.service_domain:
        return None
    return "it has a service for all its connections already" if present.default else None


def _is_same(one: Candidate, other: Candidate) -> bool:
    return one.service.service_name == other.service.service_name


def _may_join(present: Listener, candidate: Candidate, destination: Destination) -> bool:
    """Return whether a service may join a group: it has the same owner as the oldest member, or its token."""
    token, given = present.destination.group_token, destination.group_token
    return present.holder.is_beside(candidate) or (token is not None and token == given)


def _backend(service: Service, destination: Destination) -> Backend:
    name = unique_name(destination.req_mode, service.service_name, destination.port, destination.index)
    if destination.service_group:
        name = unique_name("group", destination.service_group, destination.src_port)
    host = destination.outbound_hostname or service.service_name
    port = destination.port or 0
    return Backend(name, service, destination, port, targets=((host, port),))


def _choices(candidate: Candidate, destination: Destination, backend: str) -> Iterable[Choice]:
    """Yield the choices that lead to a destination, each ending alone: the longest of all is tried first."""
    if destination.req_mode == "sni":
        how = destination.path_type if "sni" in destination.path_type else "req.ssl_sni -i"
        named = re.search(r"-m +(\w+)", how)
        flags = f"{named[1] if named else 'str'}{' -i' if '-i' in how.split() else ''}"
        values = destination.service_path
        for together in ((value,) for value in values) if flags.startswith("end") else (values,):
            yield Choice(("req.ssl_sni",), flags, together, backend, candidate)
        return
    algorithm = candidate.service.service_domain_algo or ""
    compared = re.search(r"hdr(?:_([a-z]+))?\(host\)|-m +(\w+)", algorithm)
    method = ((compared[1] or compared[2]) if compared else None) or "str"
    fetches = ("req.ssl_sni",) if "sni" in algorithm else ("req.ssl_sni", "req.hdr(host),host_only")
    endings = [domain.removeprefix("*") for domain in destination.service_domain if domain.startswith("*")]
    others = tuple(domain for domain in destination.service_domain if not domain.startswith("*"))
    if others:
        yield Choice(fetches, f"{method} -i", others, backend, candidate)
    for ending in endings:
        yield Choice(fetches, "end -i", (ending,), backend, candidate)
