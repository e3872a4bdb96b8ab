"""What a service becomes with some parameters: the lines of its backend, and what a change of them costs."""

from __future__ import annotations

import asyncio

from configurations import RENDERER

from flowproxy.control.template_files import ServiceTemplateFiles
from flowproxy.features import Change, Defaults
from flowproxy.haproxy.plan import (
    AddCertificate,
    AddEntry,
    Nothing,
    Reload,
    RemoveCertificate,
    RemoveEntry,
    Running,
    SetCertificate,
    SetEntry,
    make_plan,
)
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.sections import Section
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.ports import HttpNames, compile_listeners
from flowproxy.services.model import Candidate, Endpoint
from flowproxy.services.parse import parse
from flowproxy.settings.model import Settings

PLAIN = {"serviceName": "web", "servicePath": "/", "port": "80"}
_ENDPOINTS = {host: (Endpoint.of_address("10.0.0.1"),) for host in ("web", "www")}


def configuration(*services: dict[str, str], defaults: Defaults | None = None) -> Configuration:
    """Return the configuration of these services; what one does not say is that of a plain one."""
    given = [parse({**PLAIN, **service}, defaults or Defaults()) for service in services]
    candidates = [Candidate(service, created) for created, service in enumerate(given)]
    table = compile_routes(candidates)
    with_ports = [candidate for candidate in candidates if candidate.service.has_ports]
    http = RENDERER.http_ports(certified=False)
    listening = compile_listeners(with_ports, http, HttpNames(table, frozenset()))
    templates = asyncio.run(ServiceTemplateFiles(Settings()).read(given))
    return RENDERER.render(table, _ENDPOINTS, (), listening, templates=templates)


def section(parameters: dict[str, str]) -> Section:
    """Return the backend of a service with these parameters beside the plain ones."""
    return next(iter(configuration(parameters).sections.values()))


def lines(parameters: dict[str, str]) -> list[str]:
    """Return what the backend of such a service has beside what every one has."""
    every = section({"reqMode": "tcp", "srcPort": "9000"} if parameters.get("reqMode", "http") != "http" else {})
    known = [line.strip() for line in every.text.splitlines() if not line.startswith("backend ")]
    written = [line.strip() for line in section(parameters).text.splitlines() if not line.startswith("backend ")]
    return [line for line in written if line not in known]


def cost(before: dict[str, str], after: dict[str, str]) -> Change:
    """Return what HAProxy needs when such a service changes."""
    plan = make_plan(Running.fresh(configuration(before)), configuration(after))
    if isinstance(plan, Nothing):
        return Change.NOTHING
    if isinstance(plan, Reload):
        return Change.RELOAD
    entries = AddEntry | SetEntry | RemoveEntry | AddCertificate | SetCertificate | RemoveCertificate
    return Change.MAP if all(isinstance(change, entries) for change in plan.changes) else Change.SERVER
