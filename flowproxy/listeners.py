"""Ports of their own for tcp and sni destinations: who has which, and what decides between those that share one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flowproxy.model import Destination, Service
from flowproxy.patterns import LONGEST_HOST, SEARCHING, reach_of
from flowproxy.routing import Backend, Candidate, Conflict, by_seniority


class Choice(NamedTuple):
    """A backend for connections whose TLS server name, or for plain HTTP whose host, compares like this.

    `fetches` are HAProxy's samples, `how` its matching method with flags.
    """

    fetches: tuple[str, ...]
    how: str
    values: tuple[str, ...]
    backend: str

    @property
    def method(self) -> str:
        return self.how

    @property
    def reach(self) -> int | None:
        """The length of the longest name that the values are looked for in; None where they are compared once."""
        if self.how.startswith("reg"):
            return reach_of(self.values, LONGEST_HOST)
        return LONGEST_HOST if self.how.startswith(SEARCHING) else None


class Listener(NamedTuple):
    """A frontend in TCP mode. `beside_http` says that what nobody chose is the TLS of the http routes."""

    port: int
    mode: str
    owner: Service
    destination: Destination
    choices: tuple[Choice, ...]
    default: str | None
    beside_http: bool

    @property
    def name(self) -> str:
        return f"tcpFE_{self.port}" if self.mode == "tcp" else f"service_{self.port}"


class Listeners(NamedTuple):
    listeners: tuple[Listener, ...]
    backends: tuple[Backend, ...]
    conflicts: tuple[Conflict, ...]


def compile_listeners(candidates: Iterable[Candidate], http_ports: Mapping[int, bool]) -> Listeners:
    """`http_ports` are the ports of the http routes, with whether they speak TLS."""
    listeners: dict[int, Listener] = {}
    backends: dict[str, Backend] = {}
    conflicts = []
    for service, destination in _wanted(candidates):
        port = destination.src_port or 0
        present = listeners.get(port) or _new(service, destination, http_ports)
        backend = _backend(service, destination)
        reason = _clash(present, service, destination, http_ports)
        if reason:
            conflicts.append(Conflict(f"port {port}: {reason}", present.owner.service_name, service.service_name))
            continue
        mates = backends[backend.name].targets if backend.name in backends else ()
        backends[backend.name] = backend._replace(targets=(*mates, *backend.targets))
        choices = tuple(_choices(service, destination, backend.name))
        listeners[port] = present._replace(
            choices=(*present.choices, *choices), default=present.default if choices else backend.name
        )
    return Listeners(
        tuple(listener for _, listener in sorted(listeners.items())),
        tuple(sorted(backends.values(), key=lambda backend: backend.name)),
        tuple(conflicts),
    )


def _wanted(candidates: Iterable[Candidate]) -> Iterable[tuple[Service, Destination]]:
    for candidate in by_seniority(candidates):
        for destination in candidate.service.destinations:
            if candidate.service.template_fe_path:
                continue
            if destination.req_mode != "http" and destination.src_port and destination.port:
                yield candidate.service, destination


def _new(service: Service, destination: Destination, http_ports: Mapping[int, bool]) -> Listener:
    port = destination.src_port or 0
    return Listener(port, destination.req_mode, service, destination, (), None, http_ports.get(port, False))


def _clash(present: Listener, service: Service, destination: Destination, http_ports: Mapping[int, bool]) -> str | None:
    """Why a destination cannot have this port; None when it can."""
    first = present.destination
    if present.port in http_ports and (destination.req_mode == "tcp" or not http_ports[present.port]):
        return "it is a port of the http routes or of the statistics"
    if present.mode != destination.req_mode:
        return f"it is used for {present.mode}, not for {destination.req_mode}"
    for name in ("timeout_client", "clitcpka", "service_group", "balance_group"):
        if getattr(first, name) != getattr(destination, name):
            return f"its {name} is {getattr(first, name)}, not {getattr(destination, name)}"
    if destination.service_group or destination.req_mode == "sni" or destination.service_domain:
        return None
    return "it has a service for all its connections already" if present.default else None


def _backend(service: Service, destination: Destination) -> Backend:
    stem = service.acl_name or service.service_name
    name = f"{stem}-be{destination.port}_{destination.index}"
    if destination.service_group:
        name = f"tcpListen_{destination.service_group}_{destination.src_port}"
    host = destination.outbound_hostname or service.service_name
    port = destination.port or 0
    return Backend(name, service, destination, port, targets=((host, port),))


def _choices(service: Service, destination: Destination, backend: str) -> Iterable[Choice]:
    if destination.req_mode == "sni":
        how = destination.path_type if "sni" in destination.path_type else "req.ssl_sni -i"
        named = re.search(r"-m +(\w+)", how)
        flags = f"{named[1] if named else 'str'}{' -i' if '-i' in how.split() else ''}"
        yield Choice(("req.ssl_sni",), flags, destination.service_path, backend)
        return
    algorithm = service.service_domain_algo or ""
    compared = re.search(r"hdr(?:_([a-z]+))?\(host\)|-m +(\w+)", algorithm)
    method = ((compared[1] or compared[2]) if compared else None) or "str"
    fetches = ("req.ssl_sni",) if "sni" in algorithm else ("req.ssl_sni", "req.hdr(host),host_only")
    endings = tuple(domain.removeprefix("*") for domain in destination.service_domain if domain.startswith("*"))
    others = tuple(domain for domain in destination.service_domain if not domain.startswith("*"))
    for name, values in ((method, others), ("end", endings)):
        if values:
            yield Choice(fetches, f"{name} -i", values, backend)
