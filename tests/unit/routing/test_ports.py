from __future__ import annotations

import pytest

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.ports import HTTP, HttpNames, Listeners, compile_listeners
from flowproxy.routing.table import FOLDER
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse


def tcp(name: str, created: float = 0, stack: str = "", **parameters: str) -> Candidate:
    given = {"serviceName": name, "reqMode": "tcp", "port": "5432", "srcPort": "90", **parameters}
    return Candidate(parse({key.replace("_", "."): value for key, value in given.items()}), created, stack)


def sni(name: str, created: float = 0, **parameters: str) -> Candidate:
    return tcp(name, created, **{"reqMode": "sni", "srcPort": "443", "servicePath": "a.org", **parameters})


def compiled(*candidates: Candidate, http: HttpNames | None = None) -> Listeners:
    return compile_listeners(candidates, {80: False, 443: True}, http)


def test_a_tcp_service_has_a_frontend_and_a_backend() -> None:
    listeners = compiled(tcp("db"))

    (listener,) = listeners.listeners
    (backend,) = listeners.backends
    assert (listener.name, listener.default) == ("tcpFE_90", backend.name)
    assert (backend.name, backend.targets) == ("tcp:db:5432_0", (("db", 5432),))


def test_a_port_belongs_to_the_oldest_service() -> None:
    listeners = compiled(tcp("young", 2), tcp("old", 1))

    assert listeners.listeners[0].owner.service_name == "old"
    (conflict,) = listeners.conflicts
    assert conflict == ("port 90: it has a service for all its connections already", "old", "young")


@pytest.mark.parametrize("port", ["80", "443"])
def test_a_port_of_the_http_routes_is_taken_from_tcp(port: str) -> None:
    (conflict,) = compiled(tcp("db", srcPort=port)).conflicts

    assert (conflict.winner, conflict.loser) == (HTTP, "db")


def test_services_of_one_stack_share_the_backend_of_a_group() -> None:
    listeners = compiled(tcp("one", 1, "s", serviceGroup="g"), tcp("two", 2, "s", serviceGroup="g"))

    (backend,) = listeners.backends
    assert backend.targets == (("one", 5432), ("two", 5432))
    assert listeners.conflicts == ()


def test_a_group_is_joined_from_another_stack_only_with_its_token() -> None:
    token = {"serviceGroup": "g", "groupToken": "long-enough-token"}
    group = tcp("one", 1, "s", **token)

    assert compiled(group, tcp("two", 2, "t", **token)).conflicts == ()
    (conflict,) = compiled(group, tcp("two", 2, "t", serviceGroup="g")).conflicts
    assert "both need the same groupToken" in conflict.route


def test_server_names_decide_between_services_of_a_port_the_longest_ending_first() -> None:
    wide = sni("wide", 1, srcPort="90", servicePath=".org", pathType="req.ssl_sni -m end")
    narrow = sni("narrow", 2, srcPort="90", servicePath=".a.org", pathType="req.ssl_sni -m end")
    exact = sni("exact", 3, srcPort="90", servicePath="b.a.org")

    (listener,) = compiled(wide, narrow, exact).listeners
    assert [choice.holder.service.service_name for choice in listener.choices] == ["exact", "narrow", "wide"]


def test_a_server_name_belongs_to_one_service() -> None:
    (conflict,) = compiled(sni("old", 1, srcPort="90"), sni("young", 2, srcPort="90", servicePath="A.org")).conflicts

    assert conflict == ("port 90: the server name A.org", "old", "young")


def test_a_name_of_an_older_http_service_or_of_the_folder_is_not_taken_beside_the_http_routes() -> None:
    web = Candidate(parse({"serviceName": "web", "serviceDomain": "a.org", "port": "80"}), 1)
    table = compile_routes([web])

    (conflict,) = compiled(sni("young", 2), http=HttpNames(table)).conflicts
    assert conflict == ("port 443: the TLS of a.org", "web", "young")
    (conflict,) = compiled(sni("old", 0), http=HttpNames(table)).conflicts
    assert (conflict.winner, conflict.loser) == ("old", "web")
    (conflict,) = compiled(sni("old", 0), http=HttpNames(certified=frozenset({"*.org"}))).conflicts
    assert (conflict.winner, conflict.loser) == (FOLDER, "old")


def test_the_log_format_of_a_port_is_the_one_that_all_its_services_ask_for() -> None:
    logged = {"debug": "true", "debugFormat": "%ci", "srcPort": "90"}
    alone = compiled(sni("one", 1, **logged))
    different = compiled(sni("one", 1, **logged), sni("two", 2, srcPort="90", servicePath="b.org"))

    assert alone.listeners[0].log_format == "%ci"
    assert different.listeners[0].log_format is None
