from __future__ import annotations

from routing_cases import candidate, look_up

from flowproxy.routing.backends import unique_name
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request


def test_services_that_share_an_acl_name_have_separate_backends() -> None:
    table = compile_routes(
        [candidate("a", servicePath="/a", aclName="x"), candidate("b", servicePath="/b", aclName="x")]
    )

    assert {backend.name for backend in table.backends} == {"x-be80_0", "http:b:80_0"}


def test_an_https_port_has_its_own_backend_for_requests_on_port_443() -> None:
    services = [candidate("web", servicePath="/", port="80", httpsPort="8443")]
    table = compile_routes(services)

    assert [backend.name for backend in table.backends] == ["https-web-be8443_0", "web-be80_0"]
    for port, backend in ((80, "web-be80_0"), (443, "https-web-be8443_0")):
        assert look_up(table, Request("x.org", "/", port)) == backend
    assert look_up(table, Request("x.org", "/", 8080)) is None


def test_a_unique_name_has_colons_which_no_service_can_write() -> None:
    assert unique_name("http", "web", 80, 1) == "http:web:80_1"
    assert unique_name("group", "mail", 25) == "group:mail:25"
