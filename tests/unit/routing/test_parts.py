from __future__ import annotations

from routing_cases import candidate, route

from flowproxy.routing.parts import part_of


def test_a_domain_to_redirect_from_has_a_route_to_the_backend_that_redirects() -> None:
    assert route([candidate("web", serviceDomain="new.org", redirectFromDomain="old.org")], "old.org/any") == "web"


def test_a_route_that_a_service_asks_for_twice_is_a_warning() -> None:
    part = part_of(candidate("web", servicePath_1="/a", servicePath_2="/a", port_2="81"))

    (warning,) = part.warnings
    assert warning.startswith("the route */a leads to web-be80_1; another destination of this service")


def test_a_service_with_its_own_frontend_template_has_backends_and_no_routes() -> None:
    part = part_of(candidate("web", servicePath="/", templateFePath="/fe", templateBePath="/be"))

    assert [backend.name for backend in part.backends] == ["web-be80_0"]
    assert part.routes == ()


def test_the_cost_of_patterns_is_counted_by_host() -> None:
    part = part_of(candidate("web", serviceDomain="a.org,b.org", servicePath="^/[a-z]+", pathType="path_reg"))

    assert set(part.steps) == {("exact", "a.org"), ("exact", "b.org")}
    assert len(set(part.steps.values())) == 1
