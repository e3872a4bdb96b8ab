from __future__ import annotations

import re
from pathlib import Path

import jinja2
from certificates import make_certificate
from configurations import renderer
from jinja2 import nodes

from flowproxy.control.template_files import OURS
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.materials import PAGES
from flowproxy.rendering.templates import FILTERS
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.ports import compile_listeners
from flowproxy.services.certificate import read_certificate
from flowproxy.services.model import Candidate, Endpoint
from flowproxy.services.parse import parse
from flowproxy.settings.model import Settings


def render(*parameters: dict[str, str], settings: Settings | None = None, **endpoints: str) -> Configuration:
    candidates = [Candidate(parse({"port": "80", **given}), 0) for given in parameters]
    placed = {host: (Endpoint.of_address(address),) for host, address in endpoints.items()}
    return renderer(settings).render(compile_routes(candidates), placed)


def test_the_frontend_does_not_grow_with_services() -> None:
    one = render({"serviceName": "a", "servicePath": "/a"})
    many = render(*({"serviceName": f"s{n}", "servicePath": f"/s{n}"} for n in range(100)))

    assert one.head == many.head
    assert len(many.maps["any"]) == 100


def test_servers_are_the_endpoints_of_the_service() -> None:
    configuration = render({"serviceName": "web", "servicePath": "/"}, web="10.0.0.7")

    assert "\n    server 10.0.0.7 10.0.0.7:80 " in configuration.text()


def test_a_service_without_endpoints_has_a_backend_without_servers() -> None:
    configuration = render({"serviceName": "web", "servicePath": "/"})

    assert "backend web-be80_0" in configuration.text()
    assert configuration.servers["web-be80_0"] == ()


def test_an_outbound_address_needs_no_looking_up() -> None:
    configuration = render({"serviceName": "web", "servicePath": "/", "outboundHostname": "::1"})

    assert "server --1 [::1]:80 " in configuration.text()


def test_the_digest_names_the_skeleton_and_not_the_servers() -> None:
    service = {"serviceName": "web", "servicePath": "/"}

    assert render(service, web="10.0.0.1").digest == render(service, web="10.0.0.2").digest
    assert render(service).digest != render(service | {"port": "81"}).digest
    assert f"description {render(service).digest}" in render(service).text()


def test_the_digest_covers_the_certificates_in_their_order() -> None:
    first, second, other = (read_certificate(name, make_certificate(f"{name}.org")[0]) for name in ("a", "b", "a"))
    first_preferred = renderer(Settings(default_ports=("80", "443:ssl"), preferred_certificate=("a",)))
    last = renderer(Settings(default_ports=("80", "443:ssl"), preferred_certificate=("b",)))
    table = compile_routes(())
    given = [(), (first,), (other,), (first, second)]

    digests = [first_preferred.render(table, {}, certificates).digest for certificates in given]
    assert len(set(digests)) == len(given)
    assert last.render(table, {}, (first, second)).digest != digests[-1]
    assert (
        first_preferred.render(table, {}, (first, second)).head
        == first_preferred.render(table, {}, (other, second)).head
    )


def test_the_same_services_give_the_same_bytes_in_any_order() -> None:
    a, b = {"serviceName": "a", "servicePath": "/a"}, {"serviceName": "b", "serviceDomain": "b.org"}

    assert render(a, b).files() == render(b, a).files()


def test_a_users_template_and_error_page_replace_ours_by_name(tmp_path: Path) -> None:
    (tmp_path / "backend.cfg.j2").write_text("backend {{ backend.name | word }}\n    option forwardfor\n")
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors" / "503.http").write_bytes(b"HTTP/1.1 503 Mine\r\n\r\n")

    configuration = render({"serviceName": "a", "servicePath": "/a"}, settings=Settings(templates=tmp_path))

    assert "option forwardfor" in configuration.sections["a-be80_0"].text
    assert configuration.files()["errors/503.http"] == b"HTTP/1.1 503 Mine\r\n\r\n"


def test_every_error_page_is_small_and_whole() -> None:
    for code in PAGES:
        page = (OURS / "errors" / f"{code}.http").read_bytes()
        head, _, body = page.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {code} ".encode())
        assert f"Content-Length: {len(body)}".encode() in head
        assert len(page) < 1000


def test_every_text_that_a_template_prints_passes_through_a_filter_of_quoting() -> None:
    """Numbers, loop variables over our own constants and macro calls apart."""
    bare = []
    for path in OURS.rglob("*.j2"):
        tree = jinja2.Environment(autoescape=False).parse(path.read_text())  # noqa: S701
        for output in tree.find_all(nodes.Output):
            for node in output.nodes:
                if isinstance(node, nodes.TemplateData | nodes.Call):
                    continue
                if isinstance(node, nodes.Filter) and node.name in (*FILTERS, "trim"):
                    continue
                if isinstance(node, nodes.CondExpr) and isinstance(node.expr1, nodes.Const):
                    continue
                bare.append(f"{path.name}:{node.lineno} {_name(node)}")
    allowed = {
        "settings.timeout_",
        "settings.hard_stop_after",
        "settings.stats_port",
        "listener.port",
        "port",
        "options",
        "bind",
        "code",
        "depth",
        "name",
        "look_up",
        "condition",
    }
    unknown = [text for text in bare if not any(text.split()[1].startswith(start) for start in allowed)]

    assert unknown == []


def _name(node: nodes.Node) -> str:
    if isinstance(node, nodes.Getattr):
        return f"{_name(node.node)}.{node.attr}"
    if isinstance(node, nodes.Add):
        return _name(node.left)
    return str(getattr(node, "name", type(node).__name__))


def test_two_proxies_of_one_network_namespace_share_no_local_socket() -> None:
    """Each has the same state folder in mounts of its own; abstract sockets belong to the network namespace."""
    given = {"serviceName": "sni", "reqMode": "sni", "srcPort": "443", "servicePath": "a.org", "port": "8443"}
    candidates = [Candidate(parse(given), 0)]
    certificates = (read_certificate("b", make_certificate("b.org")[0]),)

    def sockets(port: int) -> set[str]:
        own = renderer(Settings(default_ports=("80", "443:ssl"), port=port))
        listeners = compile_listeners(candidates, own.http_ports(certified=True))
        text = own.render(compile_routes(candidates), {}, certificates, listeners).text()
        return set(re.findall(r"abns@(\S+)", text))

    assert len(sockets(8080)) == len(sockets(8081)) == 1
    assert sockets(8080) != sockets(8081)
