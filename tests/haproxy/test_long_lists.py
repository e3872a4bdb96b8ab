"""A line of HAProxy's configuration takes 64 words; parameters take more values than that, or say how many."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_origin

import pytest
from certificates import make_certificate
from controller import Controller, Origin, fetch, origins
from support import free_port

from flowproxy.services.model import Destination, Service
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS

Origins = Callable[[str], Origin]
OUT = {"outboundHostname": "127.0.0.1"}


class Listed(NamedTuple):
    """A parameter that takes a list: how its values look, what separates them, and what else it needs."""

    form: str
    between: str = ","
    others: tuple[tuple[str, str], ...] = ()


LISTS = {
    "servicePath": Listed("/p{}"),
    "servicePathExclude": Listed("/web/p{}"),
    "serviceDomain": Listed("h{}.example.org"),
    "serviceHeader": Listed("X-H{}:v"),
    "userAgent": Listed("agent {}"),
    "redirectFromDomain": Listed("old{}.org", others=(("serviceDomain", "new.org"),)),
    "allowedMethods": Listed("GET-{}"),
    "deniedMethods": Listed("PUT-{}"),
    "reqPathSearchReplace": Listed("^/old{},/new", ":"),
    "addReqHeader": Listed("X-H{} v"),
    "setReqHeader": Listed("X-H{} v"),
    "delReqHeader": Listed("X-H{}"),
    "addResHeader": Listed("X-H{} v"),
    "setResHeader": Listed("X-H{} v"),
    "delResHeader": Listed("X-H{}"),
    "users": Listed("user{}:secret"),
    "compressionAlgo": Listed("gzip", " "),
    "compressionType": Listed("text/x{}", " ", (("compressionAlgo", "gzip"),)),
}
# The same parameters where they are compared in another way, or with another one.
COMPARED = {
    **LISTS,
    **{
        f"servicePath {how}": Listed("/p{}", others=(("pathType", how),))
        for how in ("path", "path -i", "path_beg -i", "path_end", "path_sub", "path_dir", "path_dom", "path_reg")
    },
    **{
        f"servicePathExclude {how}": Listed("/web/p{}", others=(("pathType", how),))
        for how in ("path", "path_end", "path_sub -i", "path_reg")
    },
    **{
        f"serviceDomain {how}": Listed("h{}.example.org", others=(("serviceDomainAlgo", how),))
        for how in ("hdr_beg(host)", "hdr_dom(host)", "hdr_reg(host)")
    },
    "serviceDomain *": Listed("*h{}.example.org"),
    "serviceDomain tcp": Listed("h{}.example.org", others=(("reqMode", "tcp"), ("srcPort", str(free_port())))),
    "servicePath sni": Listed("h{}.example.org", others=(("reqMode", "sni"), ("srcPort", str(free_port())))),
}


def values(form: str, number: int, between: str = ",") -> str:
    """The form once for each number; none begins with another."""
    return between.join(form.replace("{}", f"{i:04}") for i in range(number))


def methods(number: int) -> list[str]:
    """Names of letters."""
    return [f"VERB-{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(number)]


def test_the_table_holds_every_list() -> None:
    names = {**SERVICE_PARAMETERS, **DESTINATION_PARAMETERS}
    fields = {**Service.model_fields, **Destination.model_fields}
    lists = {name for name, field in names.items() if get_origin(fields[field].annotation) is tuple}

    assert lists - LISTS.keys() == set()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    controller = Controller(tmp_path_factory.mktemp("lists") / "state")
    try:
        yield controller.start(DO_NOT_RESOLVE_ADDR="true")
    finally:
        controller.end()


@pytest.mark.parametrize("case", COMPARED)
def test_two_hundred_values_work_or_the_answer_names_the_limit(running: Controller, case: str) -> None:
    parameter, listed = case.partition(" ")[0], COMPARED[case]

    def put(number: int) -> tuple[int, str]:
        given = {"servicePath": "/web", "port": "80", **OUT, **dict(listed.others)}
        given[parameter] = values(listed.form, number, listed.between)
        if parameter.endswith("Methods"):
            given[parameter] = ",".join(methods(number))
        answer = running.reconfigure("listed", **given)
        return answer.status, answer.json["Message"]

    status, message = put(200)
    if status != 200:
        limit = re.search(rf"{parameter}: .*?\bat most (\d+)\b", message)
        assert status == 400, message
        assert limit, message
        assert 8 < int(limit[1]) < 200
        assert put(int(limit[1]) - 1) == (200, "")  # servicePath can be one more
    running.api("/v1/remove", serviceName="listed")
    assert running.status["quarantined"] == {}


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with origins() as start:
        yield str(start("web").port)


def test_many_user_agents(running: Controller, port: str) -> None:
    agents = [f"agent{i:02}" for i in range(50)] + ["#odd", "with 'quote"]
    answer = running.reconfigure("agents", servicePath="/agents", userAgent=",".join(agents), port=port, **OUT)

    assert answer.status == 200, answer.text
    for agent in ("an AGENT00/1", "agent49", "very #ODD", "with 'quotes"):
        assert running.get("/agents", User_Agent=agent).status == 200
    for agent in ("agent50", "odd", ""):
        assert running.get("/agents", User_Agent=agent).status == 503


def test_many_headers_must_all_be_there(running: Controller, port: str) -> None:
    headers = {f"X-H{i}": f"v{i}" for i in range(30)}
    given = ",".join(f"{name}:{value}" for name, value in headers.items())
    assert running.reconfigure("headers", servicePath="/headers", serviceHeader=given, port=port, **OUT).status == 200

    assert running.get("/headers", **headers).status == 200
    assert running.get("/headers", **{**headers, "X-H17": "other"}).status == 503


def test_many_parts_of_paths(running: Controller, port: str) -> None:
    paths = ",".join(f"/part{i:02}/" for i in range(60))
    answer = running.reconfigure("parts", servicePath=paths, pathType="path_sub", port=port, **OUT)

    assert answer.status == 200, answer.text
    assert running.get("/some/part59/more").status == 200
    assert running.get("/some/part60/more").status == 503


def test_many_excluded_paths(running: Controller, port: str) -> None:
    excluded = ",".join(f"/open/private{i:02}" for i in range(60))
    answer = running.reconfigure("open", servicePath="/open", servicePathExclude=excluded, port=port, **OUT)

    assert answer.status == 200, answer.text
    assert running.get("/open/private").status == 200
    assert running.get("/open/private59/x").status == 503


def test_many_methods(running: Controller, port: str) -> None:
    allowed = ",".join(["GET", *methods(60)])
    given = {"servicePath": "/methods", "allowedMethods": allowed, "port": port}
    assert running.reconfigure("methods", **given, **OUT).status == 200

    assert running.get("/methods").status == 200
    assert fetch(running.traffic, "/methods", methods(60)[-1]).status == 501  # says the origin
    assert fetch(running.traffic, "/methods", methods(61)[-1]).status == 403


def test_many_endings_of_hosts(running: Controller, port: str) -> None:
    hosts = ",".join(f"*host{i:02}.org" for i in range(60))
    assert running.reconfigure("hosts", serviceDomain=hosts, port=port, **OUT).status == 200

    assert running.get("/", host="myhost59.org").status == 200
    assert running.get("/", host="myhost60.org").status == 503


def test_many_hosts_on_a_tcp_port(running: Controller, port: str) -> None:
    shared, hosts = free_port(), ",".join(f"host{i:02}.org" for i in range(55))
    given = {"reqMode": "tcp", "srcPort": str(shared), "serviceDomain": hosts, "port": port}
    assert running.reconfigure("tcp", **given, **OUT).status == 200

    assert fetch(shared, "/", headers={"Host": "host54.org"}).status == 200
    with pytest.raises(OSError):  # noqa: PT011 - closed or reset
        fetch(shared, "/", headers={"Host": "host55.org"})


def test_many_server_names(running: Controller, tmp_path: Path) -> None:
    shared, names = free_port(), ",".join(f"host{i:02}.org" for i in range(55))
    server = _tls_server(tmp_path)
    port = str(server.getsockname()[1])
    given = {"reqMode": "sni", "srcPort": str(shared), "servicePath": names, "port": port}
    assert running.reconfigure("sni", **given, **OUT).status == 200

    with server:
        assert _greeting(shared, "host54.org") == b"hello"
        with pytest.raises(OSError):  # noqa: PT011 - closed or reset
            _greeting(shared, "host55.org")


def test_the_file_of_a_list_that_changed_is_replaced(controller: Controller, port: str) -> None:
    controller.start()
    lists = controller.folder / "lists"

    def put(number: int) -> None:
        paths = values("/x/p{}", number)
        assert controller.reconfigure("web", servicePath="/x", servicePathExclude=paths, port=port, **OUT).status == 200

    put(20)
    (first,) = lists.iterdir()
    put(21)
    (second,) = lists.iterdir()
    assert first != second
    assert controller.get("/x/p0020").status == 503
    assert controller.get("/x/p0021").status == 200
    controller.api("/v1/remove", serviceName="web")
    assert list(lists.iterdir()) == []


def _tls_server(folder: Path) -> socket.socket:
    """Says hello to each client, over TLS."""
    pem = folder / "server.pem"
    pem.write_text(make_certificate("host54.org")[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.sendall(b"hello")
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return server


def _greeting(port: int, name: str) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        return secured.recv(100)
