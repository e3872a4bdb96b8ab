"""What somebody else changes in the running HAProxy is changed back, without a reload."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from certificates import make_certificate
from controller import Controller, Origin, Running, Tls
from support import eventually

from flowproxy.services.certificate import read_certificate

Origins = Callable[[str], Origin]

OFTEN = {"FLOWPROXY_RESYNC_INTERVAL": "1"}
WEB = "web-be{}_0"


@pytest.fixture
def compared(running: Running[Controller]) -> Controller:
    """A controller that compares often what runs with what should run."""
    return running(**OFTEN)


@pytest.fixture
def web(compared: Controller, origin: Origins) -> str:
    """The backend of a service that a reload has given its own name."""
    port = str(origin("web").port)
    assert compared.reconfigure("web", servicePath="/web,/other", port=port, outboundHostname="127.0.0.1").status == 200
    assert compared.api("/v1/reload").status == 200
    return WEB.format(port)


def repaired(controller: Controller, what: str, before: dict[str, Any]) -> None:
    """Return when drift of this kind was repaired since a status, and check that it took no reload."""
    count = before["drift"][what] + 1
    eventually(lambda: controller.status["drift"][what] == count)
    assert controller.status["reload_reasons"] == before["reload_reasons"]
    assert f"what={what}" in controller.log.read_text()
    assert f'flowproxy_drift_total{{what="{what}"}} {float(count)}' in controller.api("/metrics").text


@pytest.mark.parametrize(
    "by_hand",
    [
        "del map maps/any.map /web",
        "set map maps/any.map /web no-route",
        "add map maps/any.map /stranger BACKEND",
        "add map maps/any.map /web no-route",
        "clear map maps/any.map",
    ],
)
def test_entries_of_maps(compared: Controller, web: str, by_hand: str) -> None:
    status, before = compared.status, entries(compared)
    assert compared.ask(by_hand.replace("BACKEND", web)).strip() == ""

    eventually(lambda: entries(compared) == before)
    eventually(lambda: compared.status["drift"]["map"] > status["drift"]["map"])
    assert compared.status["reload_reasons"] == status["reload_reasons"]
    assert compared.get("/web").status == 200


def entries(controller: Controller) -> set[str]:
    """Of the map for every host, as HAProxy shows them."""
    return {line.partition(" ")[2] for line in controller.ask("show map maps/any.map").splitlines() if line}


@pytest.mark.parametrize(
    "by_hand",
    [
        "set server SERVER state maint",
        "set server SERVER state drain",
        "disable health SERVER",
        "set server SERVER weight 0",
        "set server SERVER addr 127.0.0.9 port 1",
        "set server SERVER state maint;del server SERVER",
        "add server BACKEND/stranger 127.0.0.1:1;set server BACKEND/stranger state ready",
    ],
)
def test_servers(compared: Controller, web: str, by_hand: str) -> None:
    status, before = compared.status, servers(compared, web)
    compared.ask(by_hand.replace("SERVER", f"{web}/127.0.0.1").replace("BACKEND", web))

    repaired(compared, "server", status)
    eventually(lambda: servers(compared, web) == before)
    assert compared.get("/web").status == 200


def servers(controller: Controller, backend: str) -> dict[str, list[str]]:
    """Address, administrative state, weight, checks and port of each, as HAProxy shows them."""
    lines = controller.ask(f"show servers state {backend}").splitlines()[2:]
    found = [line.split() for line in lines if line]
    return {f[3]: [f[4], f[6], f[7], f[13], f[18]] for f in found}


def test_servers_of_a_stand_in(controller: Controller, origin: Origins) -> None:
    controller.start(**OFTEN)
    controller.reconfigure("web", servicePath="/web", port=str(origin("web").port), outboundHostname="127.0.0.1")
    assert entries(controller) == {"/web spare:1"}
    controller.ask("set server spare:1/127.0.0.1 state maint;del map maps/any.map /web")

    eventually(lambda: controller.get("/web").status == 200)
    eventually(lambda: controller.status["drift"]["server"] == controller.status["drift"]["map"] == 1)
    assert "web-be" in controller.log.read_text().split("drift repaired")[1]


@pytest.fixture
def certified(tls: Tls) -> Tls:
    for name in ("a.org", "b.org"):
        (tls.certs / f"{name}.pem").write_text(make_certificate(name)[0])
    tls.begin(**OFTEN)
    return tls


def test_an_entry_of_the_list_of_certificates(certified: Tls) -> None:
    serial, listed = certified.serial("b.org"), f"{certified.folder}/crt-list.txt"
    assert "deleted" in certified.ask(f"del ssl crt-list {listed} certs/b.org.pem")

    eventually(lambda: certified.serial("b.org") == serial)
    eventually(lambda: certified.status["drift"]["crt-list"] == 1)
    assert certified.status["reloads"] == 0


def replace_certificate(controller: Controller, file: str, host: str) -> None:
    pem = read_certificate("any", make_certificate(host)[0]).pem
    assert "Transaction created" in controller.ask(f"set ssl cert {file} <<\n{pem}\n")
    assert "Success" in controller.ask(f"commit ssl cert {file}")


def test_a_stranger_on_the_list_of_certificates(certified: Tls) -> None:
    serial, listed = certified.serial("b.org"), f"{certified.folder}/crt-list.txt"
    certified.ask("new ssl cert stranger.pem")
    replace_certificate(certified, "stranger.pem", "c.org")
    assert "Success" in certified.ask(f"add ssl crt-list {listed} stranger.pem")
    assert "Success" in certified.ask(f"add ssl crt-list {listed} <<\ncerts/b.org.pem [ssl-min-ver TLSv1.3] d.org\n")

    eventually(lambda: certified.status["drift"]["crt-list"] == 2)
    assert certified.serial("b.org") == serial
    assert certified.serial("c.org") == certified.serial("d.org") == certified.serial("a.org")  # the default
    assert certified.status["reloads"] == 0


def test_a_certificate_that_was_replaced_or_deleted(certified: Tls) -> None:
    serials = [certified.serial(name) for name in ("a.org", "b.org")]
    replace_certificate(certified, "certs/a.org.pem", "a.org")
    certified.ask(f"del ssl crt-list {certified.folder}/crt-list.txt certs/b.org.pem")
    assert "deleted" in certified.ask("del ssl cert certs/b.org.pem")

    eventually(lambda: [certified.serial(name) for name in ("a.org", "b.org")] == serials)
    eventually(lambda: certified.status["drift"]["certificate"] == 2)
    assert certified.status["reloads"] == 0


def test_a_worker_that_somebody_else_has_started(compared: Controller, web: str) -> None:
    before = compared.status
    os.kill(before["haproxy"]["pid"], signal.SIGUSR2)
    eventually(lambda: compared.status["haproxy"]["worker"] != before["haproxy"]["worker"])

    eventually(lambda: compared.status["reload_reasons"] == {"unknown": before["reload_reasons"]["unknown"] + 1})
    assert compared.get("/web").status == 200
    assert compared.status["drift"] == before["drift"]


def test_a_server_that_leaves_is_no_drift(controller: Controller, origin: Origins) -> None:
    """It stays in maintenance until its last request has ended."""
    controller.start(**OFTEN)
    slow, other = origin("slow"), origin("other")
    given = {"servicePath": "/web", "outboundHostname": "127.0.0.1"}
    controller.reconfigure("web", port=str(slow.port), **given)
    request = threading.Thread(target=lambda: controller.get("/web/wait"))
    request.start()
    assert slow.asked.wait(10)
    controller.reconfigure("web", port=str(other.port), **given)
    looks = looked(controller)
    eventually(lambda: looked(controller) > looks + 2)
    slow.release.set()
    request.join()
    assert controller.status["drift"]["server"] == 0


def looked(controller: Controller) -> float:
    found = re.search(r"^flowproxy_drift_looks_total (\S+)", controller.api("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


WITHOUT_A_PAUSE = """
import sys
from flowproxy.control import drift_watch
from flowproxy.cli.main import main
drift_watch._PAUSE_SECONDS = 0.003
drift_watch._SHARE = 1.0
del sys.argv[1:4]  # the Python and -m flowproxy that would be started without this
main()
"""


def test_our_own_changes_are_no_drift(tls: Tls, origin: Origins) -> None:
    """However often it is looked at while they are made."""
    tls.wrapper = (sys.executable, "-c", WITHOUT_A_PAUSE)
    tls.begin(FLOWPROXY_TIDY_AFTER="1")
    given = {"port": str(origin("web").port), "outboundHostname": "127.0.0.1"}

    def change(name: str) -> None:
        for number in range(12):
            tls.reconfigure(name, servicePath=f"/{name}{number % 3}", **given)
            tls.put_certificate(f"{name}.pem", make_certificate(f"{name}.org")[0])
            timeout = {"timeoutServer": str(5 + number)} if number % 4 == 3 else {}
            tls.reconfigure(name, servicePath=f"/{name}", serviceDomain=f"{name}.org", **timeout, **given)
            tls.api("/v1/remove", serviceName=name)

    threads = [threading.Thread(target=change, args=[f"n{number}"]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looked(tls) > 50
    assert tls.status["drift"] == {"map": 0, "server": 0, "certificate": 0, "crt-list": 0}
    assert "somebody else" not in tls.log.read_text()
