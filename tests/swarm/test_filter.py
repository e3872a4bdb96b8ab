"""Through a proxy that allows reading five things of Docker, and that fails in every way."""

import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import make_certificate
from controller import Controller, origins, requests_all_the_time
from support import eventually, rounds
from swarm.filter import Fault, Filter
from swarm.testbed import Swarm


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Controller]:
    """A controller on the host; it watches the Swarm through what `watch` puts in between."""
    controller = Controller(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace"))


@pytest.fixture(autouse=True)
def _empty(clear_swarm: Swarm) -> Iterator[None]:
    yield
    clear_swarm.clear()


@pytest.fixture
def port() -> Iterator[str]:
    """Of an origin that answers everything."""
    with origins() as start:
        yield str(start("web").port)


@contextmanager
def watch(swarm: Swarm, controller: Controller, **environment: str) -> Iterator[Filter]:
    with Filter(swarm.socket) as filtering:
        given = {"FLOWPROXY_SWARM": "on", "DOCKER_HOST": f"tcp://127.0.0.1:{filtering.port}"}
        controller.start(**given | environment)
        eventually(lambda: controller.status["swarm"]["connected"])
        yield filtering


def create(swarm: Swarm, port: str, name: str) -> None:
    """A service without tasks, which leads to a port of this machine."""
    labels = {"notify": "true", "servicePath": f"/{name}", "port": port, "outboundHostname": "127.0.0.1"}
    options = [f"--label=com.df.{key}={value}" for key, value in labels.items()]
    nowhere = ["--detach", "--no-resolve-image", "--constraint", "node.labels.none==such"]
    swarm.docker("service", "create", *nowhere, *options, "--name", name, "none")


def is_routed(controller: Controller, name: str) -> bool:
    return controller.get(f"/{name}").status == 200


def test_reading_services_tasks_nodes_networks_and_events_is_all_it_needs(
    clear_swarm: Swarm, beside: Controller, port: str
) -> None:
    with watch(clear_swarm, beside) as filtering:
        create(clear_swarm, port, "web")
        eventually(lambda: is_routed(beside, "web"), within=5)
        clear_swarm.docker("service", "rm", "web")
        eventually(lambda: not is_routed(beside, "web"), within=5)

        assert filtering.passed["events"] == 1
        assert {path.partition("?")[0] for path in filtering.refused} <= {"GET /version"}


def test_a_remote_daemon_with_tls_and_a_certificate_of_ours(
    clear_swarm: Swarm, beside: Controller, port: str, tmp_path: Path
) -> None:
    """Also what a proxy on a worker node does, whose DOCKER_HOST is a manager."""
    for name, file in (("localhost", "ca.pem"), ("client", "client.pem")):
        (tmp_path / file).write_text(make_certificate(name)[0])
    certificate, _, key = (tmp_path / "client.pem").read_text().partition("\n\n")
    (tmp_path / "cert.pem").write_text(certificate)
    (tmp_path / "key.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem")
    context.load_verify_locations(tmp_path / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with Filter(clear_swarm.socket, context) as filtering:
        beside.start(
            FLOWPROXY_SWARM="on",
            DOCKER_HOST=f"tcp://localhost:{filtering.port}",
            DOCKER_TLS_VERIFY="1",
            DOCKER_CERT_PATH=str(tmp_path),
        )
        create(clear_swarm, port, "web")
        eventually(lambda: is_routed(beside, "web"), within=5)


@pytest.mark.parametrize("fault", ["error", "half", "nonsense", "empty"])
def test_a_daemon_that_answers_wrongly_takes_no_route_away(
    clear_swarm: Swarm, beside: Controller, port: str, fault: Fault
) -> None:
    with watch(clear_swarm, beside, FLOWPROXY_RESYNC_INTERVAL="1") as filtering:
        create(clear_swarm, port, "web")
        eventually(lambda: is_routed(beside, "web"), within=5)
        with requests_all_the_time(beside.traffic, "/web") as statuses:
            filtering.fault = fault
            asked = filtering.passed.total()
            eventually(lambda: filtering.passed.total() > asked + 4, within=20)
            assert is_routed(beside, "web")
            beside.signal(9)
            beside.start(**beside.environment)
            eventually(lambda: filtering.passed.total() > asked + 9, within=20)
            filtering.fault = "none"
            create(clear_swarm, port, "late")
            eventually(lambda: is_routed(beside, "late"), within=20)
        assert set(statuses) == {200}


@pytest.mark.soak  # it waits for the 30 seconds that such a listing is doubted
def test_a_cluster_that_really_has_no_service_loses_its_routes(
    clear_swarm: Swarm, beside: Controller, port: str
) -> None:
    with watch(clear_swarm, beside, FLOWPROXY_RESYNC_INTERVAL="1") as filtering:
        create(clear_swarm, port, "web")
        eventually(lambda: is_routed(beside, "web"), within=5)
        filtering.fault = "empty"
        eventually(lambda: "empty swarm listing ignored" in beside.log.read_text(), within=5)

        eventually(lambda: not is_routed(beside, "web"), within=45)


def test_a_stream_of_events_that_fell_silent_is_noticed(clear_swarm: Swarm, beside: Controller, port: str) -> None:
    with watch(clear_swarm, beside, FLOWPROXY_RESYNC_INTERVAL="2") as filtering:
        filtering.fault = "silent"
        create(clear_swarm, port, "web")
        eventually(lambda: "event stream reopened" in beside.log.read_text(), within=10)
        eventually(lambda: is_routed(beside, "web"), within=5)
        filtering.fault = "none"
        create(clear_swarm, port, "more")

        eventually(lambda: is_routed(beside, "more"), within=5)
        create(clear_swarm, port, "told")
        eventually(lambda: beside.status["swarm"]["last_event"], within=5)


def test_a_change_of_one_service_lists_no_other(clear_swarm: Swarm, beside: Controller, port: str) -> None:
    with watch(clear_swarm, beside) as filtering:
        create(clear_swarm, port, "staying")
        eventually(lambda: is_routed(beside, "staying"), within=5)
        before = filtering.whole.copy()
        create(clear_swarm, port, "web")
        eventually(lambda: is_routed(beside, "web"), within=5)
        clear_swarm.docker("service", "rm", "web")
        eventually(lambda: not is_routed(beside, "web"), within=5)
        assert filtering.whole == before


def test_a_thousand_events_a_second_are_a_few_listings(clear_swarm: Swarm, beside: Controller, port: str) -> None:
    with watch(clear_swarm, beside) as filtering:
        create(clear_swarm, port, "web")
        eventually(lambda: is_routed(beside, "web"), within=5)
        with requests_all_the_time(beside.traffic, "/web") as statuses:
            filtering.storm = 1000
            before, begun = filtering.passed["services"], time.monotonic()
            eventually(lambda: time.monotonic() > begun + 3)
            create(clear_swarm, port, "late")
            eventually(lambda: is_routed(beside, "late"), within=3)
            listings = (filtering.passed["services"] - before) / (time.monotonic() - begun)
        assert set(statuses) == {200}
        assert listings < 60


def test_a_start_without_docker_serves_what_was_known_until_docker_answers(
    clear_swarm: Swarm, beside: Controller, port: str
) -> None:
    with watch(clear_swarm, beside):
        create(clear_swarm, port, "web")
        create(clear_swarm, port, "goes")
        eventually(lambda: is_routed(beside, "web") and is_routed(beside, "goes"), within=5)
        beside.signal(15)
    beside.start(**beside.environment)

    assert is_routed(beside, "web")
    assert beside.status["services"] == 2
    assert beside.status["swarm"]["connected"] is False
    clear_swarm.docker("service", "rm", "goes")
    create(clear_swarm, port, "comes")
    beside.signal(9)
    with requests_all_the_time(beside.traffic, "/web") as statuses, watch(clear_swarm, beside):
        eventually(lambda: is_routed(beside, "comes") and not is_routed(beside, "goes"), within=10)
    assert set(statuses) == {200}


@pytest.mark.longer
def test_a_daemon_that_is_away_for_long(clear_swarm: Swarm, beside: Controller, port: str) -> None:
    beside.start(FLOWPROXY_SWARM="on", DOCKER_HOST=clear_swarm.host)
    create(clear_swarm, port, "web")
    eventually(lambda: is_routed(beside, "web"), within=5)
    with requests_all_the_time(beside.traffic, "/web") as statuses:
        clear_swarm.daemon.stop()
        stopped = time.monotonic()
        eventually(lambda: not beside.status["swarm"]["connected"], within=10)
        assert beside.reconfigure("api", servicePath="/api", port=port, outboundHostname="127.0.0.1").status == 200
        away_s = rounds(10, soak=60)
        eventually(lambda: time.monotonic() > stopped + away_s, within=away_s)
        clear_swarm.daemon.start()
        eventually(lambda: beside.status["swarm"]["connected"], within=60)
        create(clear_swarm, port, "late")
        eventually(lambda: is_routed(beside, "late"), within=20)
    assert set(statuses) == {200}
    assert is_routed(beside, "api")


def test_labels_take_over_what_the_api_registered_and_take_it_along_when_they_go(
    clear_swarm: Swarm, beside: Controller, port: str
) -> None:
    beside.start(FLOWPROXY_SWARM="on", DOCKER_HOST=clear_swarm.host)
    assert beside.reconfigure("web", servicePath="/by-api", port=port, outboundHostname="127.0.0.1").status == 200
    assert is_routed(beside, "by-api")
    create(clear_swarm, port, "web")

    eventually(lambda: is_routed(beside, "web") and not is_routed(beside, "by-api"), within=5)
    assert beside.api("/v1/services/web").json["origin"] == "swarm"
    assert beside.api("/v1/remove", serviceName="web").status == 409
    clear_swarm.docker("service", "rm", "web")
    eventually(lambda: not is_routed(beside, "web"), within=5)
    assert not is_routed(beside, "by-api")
    assert beside.api("/v1/services/web").status == 404


def test_a_short_name_takes_no_route_away(clear_swarm: Swarm, beside: Controller, port: str) -> None:
    beside.start(FLOWPROXY_SWARM="on", DOCKER_HOST=clear_swarm.host)
    create(clear_swarm, port, "web")
    create(clear_swarm, port, "evil_web")
    eventually(lambda: is_routed(beside, "web") and is_routed(beside, "evil_web"), within=5)
    short = ["--label-add", "com.docker.stack.namespace=evil", "--label-add", "com.df.shortName=true"]
    clear_swarm.docker("service", "update", "--detach", *short, "evil_web")
    eventually(lambda: beside.api("/v1/services/evil_web").json["warnings"], within=5)

    assert is_routed(beside, "web")
    assert is_routed(beside, "evil_web")
    assert "short name web is another service's" in beside.api("/v1/services/evil_web").json["warnings"][0]
    clear_swarm.docker("service", "rm", "web")
    eventually(lambda: beside.api("/v1/services/evil_web").status == 404, within=5)
    eventually(lambda: beside.api("/v1/services/web").json["routes"][0]["path"] == "/evil_web")
    assert is_routed(beside, "evil_web")
    assert not is_routed(beside, "web")
