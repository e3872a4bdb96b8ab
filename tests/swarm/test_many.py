"""Hundreds of services of a real Swarm at once. Their tasks are placed nowhere; an origin beside answers for all."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from controller import Controller, origins
from support import eventually, rounds
from swarm.testbed import Swarm

COUNT = rounds(300, soak=1000)


@pytest.fixture(scope="module")
def watching(clear_swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    controller = Controller(tmp_path_factory.mktemp("many") / "state")
    try:
        controller.start(FLOWPROXY_SWARM="on", DOCKER_HOST=clear_swarm.host)
        yield controller
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace")[-20000:])


def create(swarm: Swarm, number: int, port: int) -> None:
    given = {"notify": "true", "servicePath": f"/s{number}/", "port": str(port), "outboundHostname": "127.0.0.1"}
    specification = {
        "Name": f"many{number}",
        "Labels": {f"com.df.{key}": value for key, value in given.items()},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "nobody/runs-this"},
            "Placement": {"Constraints": ["node.labels.nowhere==true"]},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
    }
    swarm.api._post_json(swarm.api._url("/services/create"), data=specification).raise_for_status()


def is_live(controller: Controller, number: int) -> bool:
    return controller.get(f"/s{number}/x").status == 200


@pytest.mark.longer
def test_hundreds_of_services_are_live_soon_with_few_reloads(
    clear_swarm: Swarm, watching: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    with origins() as start, ThreadPoolExecutor(8) as threads:
        port = start("all").port
        before, began = watching.status["reloads"], time.monotonic()
        list(threads.map(lambda number: create(clear_swarm, number, port), range(COUNT)))
        created = time.monotonic()
        eventually(lambda: watching.status["services"] == COUNT, within=30)
        eventually(lambda: all(is_live(watching, number) for number in (0, COUNT // 2, COUNT - 1)), within=30)
        live = time.monotonic()
        reloads = watching.status["reloads"] - before
        with capsys.disabled():
            took = f"created in {created - began:.1f} s, live {live - created:.2f} s later, {reloads} reloads"
            sys.stdout.write(f"\n{COUNT} services {took}\n")
        assert all(is_live(watching, number) for number in range(0, COUNT, 7))
        assert live - created < 10
        assert reloads <= 5

        watching.end()
        began = time.monotonic()
        watching.launch(FLOWPROXY_SWARM="on", DOCKER_HOST=clear_swarm.host)
        eventually(lambda: is_live(watching, COUNT - 1), within=30)
        with capsys.disabled():
            sys.stdout.write(f"after a cold start: live in {time.monotonic() - began:.2f} s\n")
