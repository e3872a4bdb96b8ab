"""The property that holds the compiled table to the meaning, once more with HAProxy itself as the judge."""

from __future__ import annotations

from pathlib import Path

import pytest
from controller import Controller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from routing_cases import CANDIDATES, REQUESTS, described_candidates
from support import rounds

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match
from flowproxy.services.model import Candidate


@pytest.fixture
def answering(controller: Controller, tmp_path: Path) -> Controller:
    """A controller whose backends answer with their own names."""
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "backend.cfg.j2").write_text(
        "backend {{ backend.name | word }}\n"
        "    http-request return status 200 content-type text/plain string {{ backend.name | word }}\n"
    )
    return controller.start(FLOWPROXY_TEMPLATES=str(templates), DO_NOT_RESOLVE_ADDR="true")


@pytest.mark.longer
@settings(
    max_examples=rounds(8, soak=100), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(CANDIDATES, st.lists(REQUESTS, min_size=4, max_size=8))
def test_haproxy_sends_every_request_where_the_meaning_says(
    answering: Controller, described: list[dict[str, str]], requests: list[Request]
) -> None:
    for name in answering.api("/v1/config", type="json").json:
        answering.api("/v1/remove", serviceName=name)
    parsed = [candidate.service for candidate in described_candidates(described)]
    for created, service in enumerate(parsed):
        given_ = {k: v for k, v in described[created].items() if v and k != "created"}
        assert answering.reconfigure(service.service_name, port="80", **given_).status == 200
    routes = compile_routes(Candidate(service, created) for created, service in enumerate(parsed)).routes

    for request in requests:
        asked = request._replace(port=answering.traffic)
        chosen = match(routes, asked)
        answer = answering.get(request.path, host=request.host, **dict(request.headers))
        assert (answer.status, answer.text) == ((200, chosen.backend) if chosen else (503, answer.text))
