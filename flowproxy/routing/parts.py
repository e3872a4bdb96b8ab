"""What one service adds to the table: its backends, and the routes to them."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.routing.backends import Backend, backends_of
from flowproxy.routing.claims import Claim, claims_of, conditions_of
from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import Route, Seniority
from flowproxy.routing.normal_forms import conditions_on_normal_form, diverted_claims
from flowproxy.routing.table import Part
from flowproxy.services.model import Candidate, Destination, Service
from flowproxy.services.safeguards import better_protected, compares_normal_forms, told_apart


def part_of(candidate: Candidate, *, has_unique_names: bool = False) -> Part:
    """Compile the backends of every destination, and their routes.

    Args:
        candidate: the service with its age and owner.
        has_unique_names: whether its backends get names that no other backend can have.
    """
    service = candidate.service
    siblings = told_apart(service.destinations)
    compiled = [
        (backend, _routes(candidate, backend, destination, source_port, siblings, has_unique_names))
        for destination in service.destinations
        if destination.req_mode == "http"
        for backend, source_port in backends_of(service, destination, has_unique_names=has_unique_names)
    ]
    routes = [route for _, of_backend in compiled for route in of_backend]
    placed = tuple(((route.stage, route.key), route) for route in routes)
    backends = tuple(backend for backend, _ in compiled)
    return Part(candidate, backends, placed, _steps(routes), tuple(_duplicate_warnings(placed)))


def _routes(
    candidate: Candidate,
    backend: Backend,
    destination: Destination,
    source_port: int | None,
    siblings: tuple[Destination, ...],
    has_unique_names: bool,
) -> list[Route]:
    """Return the routes to one backend of a destination, and those that lead away from it."""
    service = candidate.service
    if service.template_fe_path:
        return []
    conditions = conditions_of(destination, source_port)
    if compares_normal_forms(destination, siblings):
        conditions += conditions_on_normal_form(destination)
    seniority = (*candidate.seniority, destination.index)
    claims = list(claims_of(service, destination, conditions))
    routes = [_route(claim, backend.name, service, seniority) for claim in claims]
    if not backend.is_https_port:
        for host in destination.redirect_from_domain:
            routes.append(_route(Claim(host, "/", ()), backend.name, service, seniority))
        if service.is_default_backend and destination is service.destinations[0]:
            routes.append(_route(Claim("", "", ()), backend.name, service, seniority, is_default=True))
    better = better_protected(destination, siblings)
    diverted = diverted_claims(service, destination, better, claims, has_unique_names=has_unique_names)
    routes += [_route(claim, name, service, seniority, is_diverted=True) for claim, name in diverted]
    return routes


def _route(
    claim: Claim,
    backend: str,
    service: Service,
    seniority: Seniority,
    *,
    is_default: bool = False,
    is_diverted: bool = False,
) -> Route:
    conditions = _patterns_last(claim.conditions)
    return Route(claim.host, claim.path, conditions, backend, service.service_name, is_default, seniority, is_diverted)


def _patterns_last(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Sort conditions. Patterns take the longest, so they are evaluated only where everything else holds."""
    return tuple(sorted(conditions, key=lambda condition: (condition.has_patterns, condition)))


def _steps(routes: Iterable[Route]) -> dict[tuple[str, str], int]:
    """Return the cost of all patterns of a service for one request, by stage and host."""
    steps: dict[tuple[str, str], int] = {}
    for group, condition in {(route.group, c) for route in routes for c in route.conditions if c.has_patterns}:
        steps[group] = steps.get(group, 0) + condition.steps
    return steps


def _duplicate_warnings(placed: Iterable[tuple[tuple[str, str], Route]]) -> Iterable[str]:
    """Warn about routes that one service asks for twice with different backends: the second one gets no requests."""
    claimed: dict[object, Route] = {}
    for place, route in sorted(placed, key=lambda item: item[1].rank):
        first = claimed.setdefault((place, frozenset(route.conditions)), route)
        if first.backend != route.backend:
            yield f"the route {route} leads to {first.backend}; another destination of this service asks for it too"
