"""Configurations of services that a test describes by their parameters."""

from __future__ import annotations

from flowproxy.control.template_files import read_materials
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
