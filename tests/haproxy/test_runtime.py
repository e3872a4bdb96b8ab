"""What is changed without a reload is what a fresh start would give, and the worker stays the same."""

from __future__ import annotations

from collections.abc import Callable

from certificates import make_certificate
from controller import Controller, Origin, Tls
from support import eventually

from flowproxy.haproxy.commands import server_states
from flowproxy.routing.meaning import STAGES

Origins = Callable[[str], Origin]


def shown(controller: Controller) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str, str]]]]:
    """Map entries, and servers that may get requests, as HAProxy shows them."""
    entries = {}
    for name in STAGES:
        lines = controller.ask(f"show map maps/{name}.map").splitlines()
        entries[name] = sorted(line.partition(" ")[2] for line in lines if line)
    servers = {}
    for backend in controller.ask("show backend").splitlines()[1:]:
        states = server_states(controller.ask(f"show servers state {backend}"))
        if serving := [(s.name, s.address, s.port) for s in states if not s.is_in_maintenance]:
            servers[backend] = sorted(serving)
    return entries, servers


def test_changes_of_known_services_lead_to_what_a_fresh_start_gives(tls: Tls, origin: Origins) -> None:
    (tls.certs / "a.org.pem").write_text(make_certificate("a.org")[0])
    tls.begin()
    port = str(origin("web").port)

    def put(name: str, **parameters: str) -> None:
        given = {"port": port, "outboundHostname": "127.0.0.1", **parameters}
        assert tls.reconfigure(name, **given).status == 200

    put("web", servicePath="/a,/b", serviceDomain="a.org,*.b.org")
    put("other", servicePath="/other")
    put("gone", servicePath="/gone", timeoutServer="9")
    assert tls.api("/v1/reload").status == 200
    before = tls.status

    put("web", servicePath="/b,/c", serviceDomain="a.org,*.b.org,c.org")
    put("other", servicePath="/other", outboundHostname="127.0.0.2")
    assert tls.api("/v1/remove", serviceName="gone").status == 200
    assert tls.put_certificate("a.org.pem", make_certificate("a.org")[0]).status == 200
    after = tls.status

    assert after["haproxy"]["worker"] == before["haproxy"]["worker"]
    assert after["reloads"] == before["reloads"]
    changed = shown(tls)
    assert tls.api("/v1/reload").status == 200
    assert tls.status["haproxy"]["worker"] != before["haproxy"]["worker"]
    assert shown(tls) == changed


def test_a_service_that_came_without_a_reload_gets_its_own_backend_when_it_is_quiet(
    controller: Controller, origin: Origins
) -> None:
    controller.start(FLOWPROXY_TIDY_AFTER="1")
    worker = controller.status["haproxy"]["worker"]
    given = {"port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    controller.reconfigure("web", servicePath="/web", **given)
    assert controller.status["haproxy"]["worker"] == worker
    assert shown(controller)[0]["any"] == ["/web spare:1"]

    eventually(lambda: "reason=tidy" in controller.log.read_text())
    assert shown(controller)[0]["any"] == [f"/web web-be{given['port']}_0"]
    assert controller.get("/web").status == 200
    assert controller.status["reload_reasons"] == {"tidy": 1}


def test_a_change_that_haproxy_does_not_do_is_followed_by_a_reload(controller: Controller, origin: Origins) -> None:
    controller.start()
    given = {"port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    controller.reconfigure("web", servicePath="/web", **given)
    controller.ask("del map maps/any.map /web")  # behind its back

    assert controller.reconfigure("web", servicePath="/web", **given, serviceDomain="a.org").status == 200
    assert controller.get("/web", host="a.org").status == 200
    assert controller.status["reload_reasons"] == {"runtime": 1}
