"""Replicas that missed a call of the API become the same as the others."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from certificates import make_certificate
from controller import Answer, Controller
from support import eventually, free_port

KEY = "a key that all replicas have"
NAMED = """
import sys
from pathlib import Path
from flowproxy.sources import host_names as names
from flowproxy.cli.main import main
ask = names._addresses
names._addresses = lambda name: Path({path!r}).read_text().split() if name == "tasks.proxy" else ask(name)
del sys.argv[1:4]  # the Python and -m flowproxy that would be started without this
main()
"""


class Replica(Controller):
    """One of several on addresses of their own, which come from a file instead of a name server."""

    def __init__(self, folder: Path, address: str, port: int) -> None:
        folder.mkdir()
        super().__init__(folder / "state")
        self.address, self.port = address, port
        self.wrapper = (sys.executable, "-c", NAMED.format(path=str(folder.parent / "addresses")))

    def begin(self, **environment: str) -> None:
        given = {"IP": self.address, "FLOWPROXY_KEY": KEY, "FLOWPROXY_RESYNC_INTERVAL": "5"}
        self.start(**given | environment)

    def api(self, path: str, method: str = "GET", body: str = "", **query: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=40)
        connection.request(method, f"{path}?{urlencode(query)}" if query else path, body=body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))

    def register(self, name: str, path: str = "", **parameters: str) -> None:
        given = {"servicePath": path or f"/{name}", "port": "80", "outboundHostname": "127.0.0.1"}
        answer = self.reconfigure(name, **given | parameters)
        assert answer.status == 200, answer.text

    def remove(self, name: str) -> None:
        assert self.api("/v1/docker-flow-proxy/remove", serviceName=name).status == 200

    def put(self, name: str, pem: str) -> None:
        assert self.api("/v1/docker-flow-proxy/cert", "PUT", body=pem, certName=name).status == 200

    @property
    def known(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Its services, each with its paths and age, and its certificates."""
        services = self.api("/v1/services").json
        certificates = self.api("/v1/docker-flow-proxy/certs").json["Certs"]
        config = self.api("/v1/docker-flow-proxy/config", type="json").json
        return (
            {s["name"]: (s["created"], config.get(s["name"], {}).get("ServiceDest")) for s in services},
            {c["ProxyServiceName"]: c["CertContent"] for c in certificates},
        )


@pytest.fixture
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    folder = tmp_path_factory.mktemp("replicas")  # the name of a test's own folder may be too long for a socket
    addresses, port = ["127.0.0.2", "127.0.0.3", "127.0.0.4"], free_port()
    (folder / "addresses").write_text(" ".join(addresses))
    made = [Replica(folder / f"replica{address[-1]}", address, port) for address in addresses]
    try:
        yield made
    finally:
        for replica in made:
            replica.end()
            sys.stdout.write(replica.log.read_text(errors="replace") if replica.log.exists() else "")


def agree(*replicas: Replica) -> None:
    """Returns when all of them know the same."""
    first, *others = replicas

    def same() -> bool:
        known = first.known
        return all(other.known == known for other in others)

    eventually(same, within=10)


def say_that_they_agree(*replicas: Replica) -> None:
    def all_say_so() -> bool:
        said = [replica.status["replicas"] for replica in replicas]
        return all(status["agree"] and status["others"] == 2 for status in said)

    eventually(all_say_so)


@pytest.mark.parametrize("volume", ["old", "empty"])
@pytest.mark.parametrize("key", [KEY, ""])
def test_a_replica_that_was_away(replicas: list[Replica], volume: str, key: str) -> None:
    first, second, away = replicas
    settings = {"FLOWPROXY_KEY": key} if key else {}
    for replica in replicas:
        replica.begin(**settings)
    first.register("stays")
    first.register("goes")
    first.put("a.pem", make_certificate("a.org")[0])
    agree(*replicas)
    away.signal(15)
    first.register("came", users="alice:secret")
    second.remove("goes")
    first.register("stays", path="/changed")
    second.put("a.pem", make_certificate("a.org")[0])
    second.put("b.pem", make_certificate("b.org")[0])
    eventually(lambda: "127.0.0.4" in first.status["replicas"]["differing"])
    assert first.status["replicas"]["agree"] is False
    if volume == "empty":
        shutil.rmtree(away.folder)
        shutil.rmtree(away.folder.parent / "certs")
    away.begin(**settings)

    agree(*replicas)
    services, certificates = away.known
    assert services.keys() == {"stays", "came"}
    assert services["stays"][1][0]["ServicePath"] == ["/changed"]
    assert certificates.keys() == {"a.pem", "b.pem"}
    say_that_they_agree(*replicas)


def test_one_call_reaches_all_and_a_removal_too(replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.begin(FLOWPROXY_RESYNC_INTERVAL="60")
    replicas[0].register("web")
    agree(*replicas)
    assert "web" in replicas[2].known[0]
    replicas[1].remove("web")
    agree(*replicas)
    assert "web" not in replicas[2].known[0]


def test_different_calls_for_one_service_at_one_moment(replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.begin()

    def call(replica: Replica) -> None:
        for number in range(5):
            replica.register("web", path=f"/{replica.address}/{number}")
            replica.put("web.pem", make_certificate("web.org")[0])

    threads = [threading.Thread(target=call, args=[replica]) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    agree(*replicas)
    say_that_they_agree(*replicas)
    assert replicas[0].known[0]["web"][1][0]["ServicePath"][0].endswith("/4")


def test_a_peer_without_the_key_is_refused_and_shown(replicas: list[Replica]) -> None:
    first, second, stranger = replicas
    first.begin()
    second.begin()
    stranger.begin(FLOWPROXY_KEY="the key of somebody else")
    first.register("web", users="alice:secret")
    agree(first, second)
    stranger.register("strange")
    eventually(lambda: "403" in first.status["replicas"]["differing"]["127.0.0.4"])
    eventually(lambda: "403" in stranger.status["replicas"]["differing"]["127.0.0.2"])
    assert stranger.known[0].keys() == {"strange"}
    assert first.known[0].keys() == {"web"}
    for path in ("state", "records"):
        answer = first.api(f"/v1/docker-flow-proxy/replica/{path}", "POST", body="[]")
        assert (answer.status, "only replicas" in answer.json["Message"]) == (403, True)


def test_what_is_only_here_is_told_to_nobody_alone(controller: Controller) -> None:
    controller.start(FLOWPROXY_RESYNC_INTERVAL="1")
    assert controller.reconfigure("web", servicePath="/web", port="80", outboundHostname="127.0.0.1").status == 200
    looks = controller.status["replicas"]
    assert looks == {"others": 0, "agree": True, "differing": {}, "last_compared": None}
    assert "replica" not in controller.log.read_text()


def test_a_file_that_somebody_wrote_later_stays_and_is_shown(replicas: list[Replica]) -> None:
    first, second, _ = replicas
    first.begin()
    own = make_certificate("a.org")[0]
    first.put("a.pem", make_certificate("a.org")[0])
    first.put("b.pem", make_certificate("b.org")[0])
    certs = second.folder.parent / "certs"
    shutil.copytree(first.folder.parent / "certs", certs)
    (certs / "a.pem").write_text(own)
    second.begin()
    eventually(lambda: "a.pem: the file" in first.status["replicas"]["differing"]["127.0.0.3"])
    assert (certs / "a.pem").read_text() == own
    assert "b.pem" not in first.status["replicas"]["differing"]["127.0.0.3"]


def test_removals_outlive_a_restart(replicas: list[Replica]) -> None:
    first, second, _ = replicas
    first.begin()
    second.begin()
    first.register("web")
    agree(first, second)
    second.signal(15)
    first.remove("web")
    first.signal(15)
    assert "web" in json.loads((first.folder / "removed.json").read_text())
    first.begin()
    second.begin()
    agree(first, second)
    assert "web" not in second.known[0]
