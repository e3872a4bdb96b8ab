"""Configurations of services that a test describes by their parameters."""

from __future__ import annotations

from flowproxy.rendering.configuration import Configuration, Renderer
from flowproxy.routing.table import compile_routes
from flowproxy.services.model import Candidate, Endpoint
from flowproxy.services.parse import parse
from flowproxy.settings import Settings

RENDERER = Renderer(Settings())


def described(services: list[dict[str, str]], endpoints: dict[str, list[str]] | None = None) -> Configuration:
    placed = {host: tuple(Endpoint.of_address(a) for a in listed) for host, listed in (endpoints or {}).items()}
    candidates = [Candidate(parse({"port": "80", **given}), 0) for given in services]
    return RENDERER.render(compile_routes(candidates), placed)
