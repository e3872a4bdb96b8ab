"""Configurations of services that a test describes by their parameters."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.control.template_files import read_materials
from flowproxy.haproxy.drift import State
from flowproxy.haproxy.plan import (
    AddCertificate,
    AddEntry,
    AddServer,
    Change,
    RemoveCertificate,
    RemoveEntry,
    RemoveServer,
    SetCertificate,
    SetEntry,
)
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.renderer import Renderer
from flowproxy.routing.compile import compile_routes
from flowproxy.services.model import Candidate, Endpoint
from flowproxy.services.parse import parse
from flowproxy.settings.model import Settings


def renderer(settings: Settings | None = None) -> Renderer:
    """Return one with the templates and error pages that these settings name, or with ours."""
    return Renderer(settings or Settings(), read_materials(settings or Settings()))


RENDERER = renderer()


def described(services: list[dict[str, str]], endpoints: dict[str, list[str]] | None = None) -> Configuration:
    placed = {host: tuple(Endpoint.of_address(a) for a in listed) for host, listed in (endpoints or {}).items()}
    candidates = [Candidate(parse({"port": "80", **given}), 0) for given in services]
    return RENDERER.render(compile_routes(candidates), placed)


def applied(before: State, changes: Iterable[Change]) -> State:
    """The state after runtime changes."""
    servers = {name: {server.name: server for server in listed} for name, listed in before.servers.items()}
    maps = {name: dict(entries) for name, entries in before.maps.items()}
    certificates = dict(before.certificates)
    for change in changes:
        match change:
            case AddServer(backend, server):
                servers.setdefault(backend, {})[server.name] = server
            case RemoveServer(backend, server):
                del servers[backend][server.name]
            case AddEntry(name, key, value) | SetEntry(name, key, value):
                maps[name][key] = value
            case RemoveEntry(name, key):
                del maps[name][key]
            case AddCertificate(name, pem) | SetCertificate(name, pem):
                certificates[name] = pem
            case RemoveCertificate(name):
                del certificates[name]
    return State(
        {name: tuple(sorted(listed.values())) for name, listed in servers.items() if listed}, maps, certificates
    )
