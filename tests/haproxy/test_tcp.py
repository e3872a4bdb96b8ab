"""Plain TCP and TLS that the service terminates, on ports of their own and on the port of the http routes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import make_certificate
from controller import Controller, Origin, Running, Tls, fetch
from support import eventually, free_port

Origins = Callable[[str], Origin]
OUT = {"outboundHostname": "127.0.0.1"}


class Echo:
    """Sends its name to every client, over TLS if it has a certificate."""

    def __init__(
        self, name: str, domain: str = "", folder: Path | None = None, at: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.server = socket.create_server(at)
        self.port = str(self.server.getsockname()[1])
        self.context: ssl.SSLContext | None = None
        if folder:
            pem = folder / f"{name}.pem"
            pem.write_text(make_certificate(domain)[0])
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem)
        threading.Thread(target=self._serve, args=(name,), daemon=True).start()

    def _serve(self, name: str) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
                if self.context:
                    connection = self.context.wrap_socket(connection, server_side=True)
                connection.sendall(name.encode())
                threading.Thread(target=_until_closed, args=(connection,), daemon=True).start()
            except ssl.SSLError:
                continue
            except OSError:
                return


def _until_closed(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(1)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Callable[..., Echo]]:
    echoes: list[Echo] = []

    def start(name: str, domain: str = "", at: tuple[str, int] = ("127.0.0.1", 0)) -> Echo:
        echoes.append(Echo(name, domain, tmp_path if domain else None, at))
        return echoes[-1]

    yield start
    for one in echoes:
        one.server.close()


def hear(port: int, server_name: str | None = None, send: bytes = b"") -> str:
    """What the service says."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        if server_name is not None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(connection, server_hostname=server_name)
        if send:
            connection.sendall(send)
        return connection.recv(100).decode()


def test_a_tcp_port_leads_to_the_service(running: Running[Controller], echo: Callable[..., Echo]) -> None:
    controller = running()
    port = free_port()
    answer = controller.reconfigure("db", reqMode="tcp", srcPort=str(port), port=echo("db").port, **OUT)

    assert answer.status == 200
    assert hear(port) == "db"
    controller.api("/v1/remove", serviceName="db")
    with pytest.raises(OSError, match="refused"):
        hear(port)


def test_one_service_may_mix_http_and_tcp(
    running: Running[Controller], origin: Origins, echo: Callable[..., Echo]
) -> None:
    controller = running()
    port = free_port()
    controller.reconfigure(
        "both",
        servicePath_1="/",
        port_1=str(origin("web").port),
        reqMode_2="tcp",
        srcPort_2=str(port),
        port_2=echo("db").port,
        **OUT,
    )

    assert controller.get("/").text.split()[0] == "web"
    assert hear(port) == "db"


def test_domains_decide_between_services_on_one_tcp_port(
    running: Running[Controller], echo: Callable[..., Echo]
) -> None:
    controller = running()
    port = free_port()
    shared = {"reqMode": "tcp", "srcPort": str(port), **OUT}
    controller.reconfigure("a", serviceDomain="a.org", port=echo("a", "a.org").port, **shared)
    controller.reconfigure("b", serviceDomain="*.b.org", port=echo("b", "x.b.org").port, **shared)

    assert hear(port, "A.org") == "a"
    assert hear(port, "x.b.org") == "b"


def test_the_host_of_plain_http_decides_too(running: Running[Controller], origin: Origins) -> None:
    controller = running()
    port = free_port()
    for name in ("a", "b"):
        controller.reconfigure(
            name, reqMode="tcp", srcPort=str(port), serviceDomain=f"{name}.org", port=str(origin(name).port), **OUT
        )

    assert fetch(port, "/", headers={"Host": "a.org"}).text.split()[0] == "a"
    assert fetch(port, "/", headers={"Host": "b.org"}).text.split()[0] == "b"


def test_a_second_service_for_all_of_a_tcp_port_gets_a_conflict(
    running: Running[Controller], echo: Callable[..., Echo]
) -> None:
    """The older one serves."""
    controller = running()
    port = free_port()
    shared = {"reqMode": "tcp", "srcPort": str(port), **OUT}
    controller.reconfigure("first", port=echo("first").port, **shared)
    controller.reconfigure("second", port=echo("second").port, **shared)

    assert hear(port) == "first"
    (conflict,) = controller.status["conflicts"]
    assert (conflict["winner"], conflict["loser"]) == ("first", "second")
    assert f"port {port}" in conflict["route"]


def test_a_port_of_the_http_routes_is_not_for_tcp(running: Running[Controller], echo: Callable[..., Echo]) -> None:
    controller = running()
    controller.reconfigure("db", reqMode="tcp", srcPort=str(controller.traffic), port=echo("db").port, **OUT)

    assert controller.get("/").status == 503
    assert controller.status["conflicts"][0]["loser"] == "db"


def test_a_port_that_another_program_has_is_that_services_error_alone(
    running: Running[Controller], origin: Origins, echo: Callable[..., Echo]
) -> None:
    controller = running()
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = controller.reconfigure("db", reqMode="tcp", srcPort=port, port=echo("db").port, **OUT)
        assert answer.status == 500
        assert f"srcPort {port} cannot be used" in answer.json["Message"]
        web = controller.reconfigure("web", servicePath="/", port=str(origin("web").port), **OUT)

    assert web.status == 200
    assert controller.get("/").status == 200


def test_a_group_shares_one_port(running: Running[Controller], echo: Callable[..., Echo]) -> None:
    controller = running()
    port = free_port()
    group = {"reqMode": "tcp", "srcPort": str(port), "serviceGroup": "dbs", "balanceGroup": "leastconn"}
    group["groupToken"] = "open sesame"
    one, two = echo("one"), echo("two")
    controller.reconfigure("one", port=one.port, outboundHostname="127.0.0.1", **group)
    controller.reconfigure("two", port=two.port, outboundHostname="localhost", **group)

    assert eventually(lambda: {hear(port) for _ in range(4)} == {"one", "two"})
    assert "balance leastconn" in controller.api("/v1/config").text


def test_an_idle_tcp_connection_ends_after_its_tunnel_timeout(
    running: Running[Controller], echo: Callable[..., Echo]
) -> None:
    controller = running()
    port = free_port()
    controller.reconfigure("db", reqMode="tcp", srcPort=str(port), port=echo("db").port, timeoutTunnel="1", **OUT)

    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        assert connection.recv(10) == b"db"
        assert connection.recv(10) == b""


def test_a_server_that_is_down_is_known_by_its_check(running: Running[Controller]) -> None:
    controller = running()
    port = free_port()
    dead = str(free_port())
    controller.reconfigure("db", reqMode="tcp", srcPort=str(port), port=dead, checkTcp="true", clitcpka="true", **OUT)

    assert eventually(lambda: "is DOWN" in controller.log.read_text())
    text = controller.api("/v1/config").text
    assert "option clitcpka" in text
    assert "option tcp-check" in text


def test_server_names_decide_on_an_sni_port(running: Running[Controller], echo: Callable[..., Echo]) -> None:
    controller = running()
    port = free_port()
    shared = {"reqMode": "sni", "srcPort": str(port), **OUT}
    beginning = {"servicePath": "test.", "pathType": "req_ssl_sni -i -m beg", "aclName": "01-a"}
    controller.reconfigure("a", port=echo("a", "test.org").port, **beginning, **shared)
    controller.reconfigure("b", port=echo("b", "b.org").port, servicePath="b.org", **shared)

    assert hear(port, "test.example") == "a"
    assert hear(port, "b.org") == "b"
    with pytest.raises((ssl.SSLError, OSError)):
        hear(port, "c.org")


def test_sni_and_terminated_tls_share_a_port(
    running_tls: Running[Tls], origin: Origins, echo: Callable[..., Echo]
) -> None:
    tls = running_tls("a.org")
    tls.reconfigure("web", serviceDomain="a.org", port=str(origin("web").port), **OUT)
    through = {"servicePath": "through.org", "srcPort": str(tls.tls), "port": echo("through", "through.org").port}
    assert tls.reconfigure("through", reqMode="sni", **through, **OUT).status == 200

    assert hear(tls.tls, "through.org") == "through"
    seen = tls.get_tls("/")
    assert seen.text.split()[0] == "web"
    assert "x-forwarded-for: 127.0.0.1" in seen.text.lower()


def test_the_port_of_the_statistics_is_nobodys(controller: Controller, origin: Origins) -> None:
    port = str(free_port())
    controller.start(STATS_USER="admin", STATS_PASS="secret", STATS_PORT=port)
    given = {"port": str(origin("web").port), "srcPort": port, "reqMode": "tcp", "outboundHostname": "127.0.0.1"}

    assert controller.reconfigure("web", **given).status == 200
    assert "of the statistics" in controller.status["conflicts"][0]["route"]
    assert fetch(int(port), "/admin?stats").status == 401


# Who has which port, name and backend


def test_two_services_of_one_acl_name_keep_their_own_connections(
    running: Running[Controller], echo: Callable[..., Echo]
) -> None:
    controller = running()
    ports = free_port(), free_port()
    mine = echo("a")
    echo("b", at=("127.0.0.2", int(mine.port)))
    for name, port, address in (("a", ports[0], "127.0.0.1"), ("b", ports[1], "127.0.0.2")):
        given = {"srcPort": str(port), "port": mine.port, "outboundHostname": address, "aclName": "same"}
        assert controller.reconfigure(name, reqMode="tcp", **given).status == 200

    assert [hear(ports[0]) for _ in range(4)] == ["a"] * 4
    assert [hear(ports[1]) for _ in range(4)] == ["b"] * 4


def test_a_tcp_service_does_not_replace_an_http_backend(
    running: Running[Controller], origin: Origins, echo: Callable[..., Echo]
) -> None:
    controller = running()
    port = str(origin("web").port)
    echo("evil", at=("127.0.0.2", int(port)))
    controller.reconfigure("web", servicePath="/", port=port, **OUT)
    listening = free_port()
    given = {"srcPort": str(listening), "port": port, "outboundHostname": "127.0.0.2", "aclName": "web"}
    assert controller.reconfigure("evil", reqMode="tcp", **given).status == 200

    assert [controller.get("/").text.split()[0] for _ in range(4)] == ["web"] * 4
    assert hear(listening) == "evil"


@pytest.mark.parametrize("token", [{}, {"groupToken": "Open sesame"}])
def test_a_group_is_not_joined_without_its_token(
    running: Running[Controller], echo: Callable[..., Echo], token: dict[str, str]
) -> None:
    controller = running()
    port = free_port()
    group = {"reqMode": "tcp", "srcPort": str(port), "serviceGroup": "dbs"}
    controller.reconfigure("one", port=echo("one").port, groupToken="open sesame", **group, **OUT)
    evil = {"aclName": "0", "outboundHostname": "localhost", **group, **token}
    answer = controller.reconfigure("evil", port=echo("evil").port, **evil)

    assert answer.status == 200
    assert f"port {port}: its group dbs is that of service one" in answer.json["Message"]
    assert "both need the same groupToken" in answer.json["Message"]
    assert [hear(port) for _ in range(4)] == ["one"] * 4
    paths = ("/v1/services", "/v1/config", "/v1/config?type=json", "/v1/status", "/v1/routes")
    assert not any("sesame" in controller.api(path).text for path in paths)
    assert "sesame" not in answer.text + controller.log.read_text()


def test_services_of_the_environment_are_one_owner_of_a_group(
    controller: Controller, echo: Callable[..., Echo]
) -> None:
    port = free_port()
    given: dict[str, str] = {}
    for number, (name, host) in enumerate((("one", "127.0.0.1"), ("two", "localhost")), 1):
        values = {"SERVICE_NAME": name, "OUTBOUND_HOSTNAME": host, "PORT": echo(name).port, "REQ_MODE": "tcp"}
        values |= {"SRC_PORT": str(port), "SERVICE_GROUP": "dbs"}
        given |= {f"DFP_SERVICE_{number}_{key}": value for key, value in values.items()}
    controller.start(**given)

    assert eventually(lambda: {hear(port) for _ in range(4)} == {"one", "two"})


def test_a_name_on_an_sni_port_is_one_services_and_goes_before_patterns(
    running: Running[Controller], echo: Callable[..., Echo]
) -> None:
    controller = running()
    port = free_port()
    shared = {"reqMode": "sni", "srcPort": str(port), **OUT}
    controller.reconfigure("first", port=echo("first", "a.org").port, servicePath="a.org", **shared)
    second = controller.reconfigure("second", port=echo("second", "a.org").port, servicePath="A.org,b.org", **shared)
    pattern = {"servicePath": ".", "pathType": "req_ssl_sni -i -m sub", "aclName": "0"}
    controller.reconfigure("all", port=echo("all", "c.org").port, **pattern, **shared)

    assert second.json["Conflicts"] == [
        {"route": f"port {port}: the server name A.org", "winner": "first", "loser": "second"}
    ]
    assert [hear(port, name) for name in ("a.org", "b.org", "c.org")] == ["first", "second", "all"]


@pytest.mark.parametrize("asked", ["web.org", "WEB.org", "x.below.org", "old.org", "certified.org", "x.certified.org"])
def test_sni_does_not_take_the_tls_of_an_http_route_or_certificate(
    running_tls: Running[Tls], origin: Origins, echo: Callable[..., Echo], asked: str
) -> None:
    tls = running_tls("certified.org", "*.certified.org")
    domains = {"serviceDomain": "web.org,*.below.org,certified.org,*.certified.org", "redirectFromDomain": "old.org"}
    tls.reconfigure("web", port=str(origin("web").port), **domains, **OUT)
    evil = {"servicePath": f"{asked},evil.org", "srcPort": str(tls.tls), "port": echo("evil", "evil.org").port}
    answer = tls.reconfigure("evil", reqMode="sni", **evil, **OUT)

    assert f"port {tls.tls}: the TLS of {asked.lower()}" in answer.json["Message"]
    assert answer.json["Conflicts"][0]["loser"] == "evil"
    assert tls.get_tls("/", asked).status in (200, 301)
    assert hear(tls.tls, "evil.org") == "evil"


@pytest.mark.parametrize(
    "pattern",
    [
        {"servicePath": "web", "pathType": "req_ssl_sni -i -m beg"},
        {"servicePath": ".", "pathType": "req_ssl_sni -m sub"},
        {"servicePath": ".*", "pathType": "req_ssl_sni -m reg"},
        {"servicePath": "org", "pathType": "req_ssl_sni -m end"},
    ],
)
def test_sni_patterns_are_not_for_the_tls_port_of_http_routes(
    running_tls: Running[Tls], origin: Origins, echo: Callable[..., Echo], pattern: dict[str, str]
) -> None:
    tls = running_tls("a.org")
    tls.reconfigure("web", port=str(origin("web").port), serviceDomain="web.org", **OUT)
    evil = {"srcPort": str(tls.tls), "port": echo("evil", "evil.org").port, **pattern}
    answer = tls.reconfigure("evil", reqMode="sni", **evil, **OUT)

    assert "only whole server names are taken and no patterns" in answer.json["Message"]
    assert tls.get_tls("/", "web.org").text.split()[0] == "web"


def test_an_older_sni_service_keeps_its_name_and_the_younger_http_service_reads_it(
    running_tls: Running[Tls], origin: Origins, echo: Callable[..., Echo]
) -> None:
    tls = running_tls("a.org")
    through = {"servicePath": "db.org", "srcPort": str(tls.tls), "port": echo("db", "db.org").port}
    tls.reconfigure("db", reqMode="sni", **through, **OUT)
    answer = tls.reconfigure("web", port=str(origin("web").port), serviceDomain="db.org", **OUT)

    assert answer.json["Message"] == f"port {tls.tls}: the TLS of db.org; service db has it"
    assert hear(tls.tls, "db.org") == "db"
    assert tls.get("/", "db.org").text.split()[0] == "web"


def test_one_sni_service_sets_nothing_for_the_http_routes_beside_it(
    tls: Tls, origin: Origins, echo: Callable[..., Echo]
) -> None:
    (tls.certs / "own").write_text(make_certificate("a.org")[0])
    tls.begin(DEBUG="true")
    tls.reconfigure("web", port=str(origin("web").port), serviceDomain="a.org", **OUT)
    settings = {"timeoutClient": "1ms", "clitcpka": "true", "debug": "true", "debugFormat": "evil-format"}
    own = {"servicePath": "evil.org", "srcPort": str(tls.tls), "port": echo("evil", "evil.org").port}
    assert tls.reconfigure("evil", reqMode="sni", **own, **settings, **OUT).status == 200

    with tls.connect("a.org") as connection:
        connection.settimeout(1)
        with pytest.raises(TimeoutError):  # and not the end of the connection after one millisecond
            connection.recv(1)
    text = tls.api("/v1/config").text
    assert not any(setting in text for setting in ("evil-format", "timeout client 1ms", "clitcpka"))


def test_the_log_format_of_a_port_is_what_all_its_services_ask_for(
    running: Running[Controller], echo: Callable[..., Echo]
) -> None:
    controller = running()
    shared = {"reqMode": "sni", "srcPort": str(free_port()), "debug": "true", **OUT}
    controller.reconfigure("one", port=echo("one").port, servicePath="one.org", debugFormat="format-one", **shared)
    assert "log-format format-one" in controller.api("/v1/config").text
    controller.reconfigure("two", port=echo("two").port, servicePath="two.org", **shared)

    assert "format-one" not in controller.api("/v1/config").text
