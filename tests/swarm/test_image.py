"""The image, as hardened as Docker allows and without a Swarm: one proxy, one origin, one bridge network."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from support import eventually
from swarm.client import Answer, Clients, answers, get
from swarm.testbed import Swarm

NETWORK, PROXY, ORIGIN = "image-test", "proxy", "demo"
USER = 10001  # of docker/Dockerfile

HARDENED = f"""
    --read-only --tmpfs /run --tmpfs /tmp --tmpfs /cfg:uid={USER},mode=0700
    --cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt no-new-privileges
"""


class Process(NamedTuple):
    """One process of the container, with its number on this machine."""

    number: int
    parent: int
    user: int
    state: str
    command: str


class Container:
    """The proxy under test, reached at its own address on the bridge."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm

    def url(self, path: str, port: int = 80, container: str = PROXY) -> str:
        networks = self.swarm.api.inspect_container(container)["NetworkSettings"]["Networks"]
        return f"http://{networks[NETWORK]['IPAddress']}:{port}{path}"

    def api(self, call: str) -> str:
        return self.url(f"/v1/docker-flow-proxy/{call}", port=8080)

    def reconfigure(self, path: str) -> Answer:
        return get(self.api(f"reconfigure?serviceName={ORIGIN}&servicePath={path}&port=8080"), within=20)

    def state(self) -> dict[str, object]:
        state: dict[str, object] = self.swarm.api.inspect_container(PROXY)["State"]
        return state

    def processes(self) -> list[Process]:
        rows = self.swarm.api.top(PROXY, ps_args="-ww -eo pid,ppid,uid,stat,args")["Processes"]
        return [Process(int(row[0]), int(row[1]), int(row[2]), row[3], row[4]) for row in rows]

    def controller(self) -> Process:
        return self._only("flowproxy serve")

    def master(self) -> Process:
        """HAProxy's master: the one whose parent is no HAProxy."""
        return self._only("haproxy -")

    def _only(self, words: str) -> Process:
        found = {process.number: process for process in self.processes() if words in process.command}
        heads = [process for process in found.values() if process.parent not in found]
        assert len(heads) == 1, f"{words}: {heads or 'does not run'}"
        return heads[0]


@pytest.fixture(scope="module")
def proxy(clear_swarm: Swarm, flowproxy_image: str, origin_image: str) -> Container:
    run = clear_swarm.docker
    run("network", "create", NETWORK)
    names = ("--name", ORIGIN, "--network-alias", f"tasks.{ORIGIN}")  # as a Swarm service is known, too
    run("run", "--detach", "--network", NETWORK, *names, origin_image)
    options = f"--name {PROXY} --network {NETWORK} --env FLOWPROXY_SWARM=off {HARDENED}".split()
    run("run", "--detach", *options, flowproxy_image)
    proxy = Container(clear_swarm)
    eventually(answers(proxy.api("ping")), within=20)
    return proxy


def logged(proxy: Container, path: str) -> Callable[[], bool]:
    """A condition for eventually(): a request that nobody answers is in the log."""
    assert get(proxy.url(path)).status == 503

    def check() -> bool:
        log = proxy.swarm.logs(PROXY)
        assert path in log, log[-2000:]
        return True

    return check


def test_a_service_is_answered_on_port_80(proxy: Container) -> None:
    assert proxy.reconfigure("/demo").status == 200
    assert get(proxy.url("/demo/hello")).text.startswith("hello from ")


def test_everything_runs_as_an_ordinary_user(proxy: Container) -> None:
    processes = proxy.processes()

    assert {process.user for process in processes} == {USER}, processes


def test_the_container_becomes_healthy(proxy: Container) -> None:
    def healthy() -> bool:
        health = proxy.state()["Health"]
        assert isinstance(health, dict)
        assert health["Status"] == "healthy", health
        return True

    assert eventually(healthy, within=30)


def test_the_configuration_lies_where_users_know_it(proxy: Container) -> None:
    text = proxy.swarm.docker("exec", PROXY, "cat", "/cfg/haproxy.cfg")

    assert "backend demo" in text


def test_haproxy_logs_to_the_containers_output(proxy: Container) -> None:
    assert eventually(logged(proxy, "/nowhere/1"))


def test_a_killed_controller_loses_no_request_and_the_next_one_adopts_haproxy(proxy: Container) -> None:
    controller, master = proxy.controller(), proxy.master()

    def succeeded() -> bool:
        assert proxy.controller().number != controller.number
        return get(proxy.api("ping")).status == 200

    with Clients(proxy.url("/demo/hello")) as clients:
        eventually(lambda: clients.answered > 50)
        os.kill(controller.number, signal.SIGKILL)
        eventually(succeeded, within=20)
        before = clients.answered
        eventually(lambda: clients.answered > before + 50)

    assert not clients.failures, (clients.answered, Counter(clients.failures))
    assert proxy.master().number == master.number


def test_haproxy_still_logs_without_the_controller_that_started_it(proxy: Container) -> None:
    assert eventually(logged(proxy, "/nowhere/2"))


def test_the_next_controller_still_changes_the_configuration(proxy: Container) -> None:
    answer = proxy.reconfigure("/new")

    assert (answer.status, json.loads(answer.text)["Status"]) == (200, "OK")
    assert get(proxy.url("/new/hello")).status == 200


def test_ended_processes_are_reaped(proxy: Container) -> None:
    def reaped() -> bool:
        ended = [process for process in proxy.processes() if process.state.startswith("Z")]
        assert not ended, ended
        return True

    assert eventually(reaped)


def test_docker_stop_lets_a_running_request_finish_and_ends_with_status_0(proxy: Container) -> None:
    finished: list[int] = []
    client = threading.Thread(target=lambda: finished.append(get(proxy.url("/new/slow?seconds=2"), within=20).status))
    client.start()
    eventually(answers(proxy.url("/running", port=8080, container=ORIGIN), text="1"))
    began = time.monotonic()
    proxy.swarm.docker("stop", "--time", "30", PROXY)
    took = time.monotonic() - began
    client.join(timeout=20)

    assert finished == [200]
    assert proxy.state()["ExitCode"] == 0
    assert took < 20, f"docker stop took {took:.1f} s"
