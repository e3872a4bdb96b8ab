"""The hosts and paths that a destination asks for, each with the conditions on its requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.routing.conditions import Condition
from flowproxy.services.model import Destination, Service

_HOST_ALGORITHM = re.compile(r"(?:req\.)?hdr(?:_(?P<how>[a-z]+))?\(host\)")


class Claim(NamedTuple):
    """A host with a path that a destination asks for, under conditions."""

    host: str
    path: str
    conditions: tuple[Condition, ...]


class HostClaim(NamedTuple):
    """A host as a map finds it, or any host (empty) with a condition that compares it."""

    host: str
    conditions: tuple[Condition, ...] = ()


def claims_of(service: Service, destination: Destination, conditions: tuple[Condition, ...]) -> Iterable[Claim]:
    """Yield each host of a destination with each of its paths; `conditions` apply to all of them."""
    for host, of_host in hosts_of(service, destination):
        for path, of_path in _paths_of(destination):
            yield Claim(host, path, (*conditions, *of_host, *of_path))


def hosts_of(service: Service, destination: Destination) -> Iterable[HostClaim]:
    """Yield the hosts that a map can find one by one, and those that are compared otherwise together."""
    domains = destination.service_domain
    if not domains:
        yield HostClaim("")
    algorithm = _HOST_ALGORITHM.match(service.service_domain_algo or "")
    how = algorithm["how"] if algorithm else None
    compared = [domain for domain in domains if how and not domain.startswith("*")]
    if compared:
        yield HostClaim("", (Condition("host", f"{how} -i", tuple(sorted(compared))),))
    endings = [domain.removeprefix("*") for domain in domains if domain.startswith("*") and domain[1] != "."]
    if endings:
        yield HostClaim("", (Condition("host", "end -i", tuple(sorted(endings))),))
    for domain in domains:
        if domain.startswith("*.") or not (how or domain.startswith("*")):
            yield HostClaim(domain)


def asked_hosts(service: Service) -> tuple[list[str], list[Condition]]:
    """Return the hosts that the http routes of a service are for: names with wildcards as written, and patterns.

    A name that is not compared as a whole is in both lists; a regular expression is only a pattern.
    """
    names: list[str] = []
    patterns: list[Condition] = []
    for destination in service.destinations:
        if destination.req_mode != "http":
            continue
        names += destination.redirect_from_domain
        for host, conditions in hosts_of(service, destination):
            patterns += conditions
            names += [host] if host else []
            names += [v for c in conditions if not c.how.startswith(("reg", "end")) for v in c.values]
    return names, patterns


def conditions_of(destination: Destination, source_port: int | None) -> tuple[Condition, ...]:
    """Return the conditions on all requests of a destination: headers, user agent, port, excluded paths.

    Args:
        destination: the destination.
        source_port: the port that requests must have come in on; None for any.
    """
    conditions = [Condition("header", header.name, (header.value,)) for header in destination.service_header]
    if destination.user_agent:
        conditions.append(Condition("agent", "", tuple(sorted(destination.user_agent))))
    if source_port:
        conditions.append(Condition("port", "", (str(source_port),)))
    if destination.service_path_exclude:
        excluded = tuple(sorted(destination.service_path_exclude))
        conditions.append(Condition("outside", path_method(destination), excluded))
    return tuple(conditions)


def path_method(destination: Destination) -> str:
    """Return HAProxy's matching method for the paths of a destination, with its flag."""
    keyword, _, flag = destination.path_type.partition(" ")
    return " ".join(filter(None, [keyword.partition("_")[2] or "str", flag.strip()]))


def shortest(paths: Iterable[str]) -> list[str]:
    """Return the paths that do not begin with another one of them, in alphabetical order."""
    kept: list[str] = []
    for path in sorted(paths):
        if not (kept and path.startswith(kept[-1])):
            kept.append(path)
    return kept


def _paths_of(destination: Destination) -> Iterable[tuple[str, tuple[Condition, ...]]]:
    """Yield the paths that a map can find, each with the condition that it does not express."""
    how = path_method(destination)
    if how == "beg":
        yield from ((path, ()) for path in destination.service_path)
    elif how == "str":
        yield from ((path, (Condition("path", how, (path,)),)) for path in destination.service_path)
    elif destination.service_path:
        yield "/", (Condition("path", how, tuple(sorted(destination.service_path))),)
