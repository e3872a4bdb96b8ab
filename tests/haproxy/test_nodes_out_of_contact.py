"""The tasks of a node that the Swarm has lost contact with: they are listed as running for as long as it lasts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from controller import Controller
from daemon import Daemon, daemons
from support import eventually

HERE, THERE = "127.0.0.11", "127.0.0.12"


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A Swarm of two nodes, with a task of one service on each."""
    with daemons() as daemon:
        daemon.put("web", servicePath="/web", port="8080")
        daemon.run_task("web", "here", f"{HERE}/8")
        daemon.run_task("web", "there", f"{THERE}/8")
        daemon.set_nodes(here="ready", there="ready")
        yield daemon


def serve(controller: Controller, *expected: str) -> bool:
    [servers] = controller.api("/v1/services/web").json["servers"].values()
    addresses = sorted(server.partition(" ")[2].partition(":")[0] for server in servers)
    assert addresses == sorted(expected), addresses
    return True


@pytest.mark.parametrize("state", ["down", "disconnected"])
def test_its_tasks_get_no_requests_until_it_is_back(controller: Controller, daemon: Daemon, state: str) -> None:
    controller.start(**daemon.environment)
    eventually(lambda: serve(controller, HERE, THERE))

    daemon.set_nodes(here="ready", there=state)
    eventually(lambda: serve(controller, HERE), within=2)

    daemon.set_nodes(here="ready", there="ready")
    eventually(lambda: serve(controller, HERE, THERE), within=2)


def test_a_manager_that_the_others_miss_is_noticed_without_an_event(controller: Controller, daemon: Daemon) -> None:
    controller.start(**daemon.environment)
    eventually(lambda: serve(controller, HERE, THERE))

    daemon.set_reachability(here="reachable", there="unreachable")
    eventually(lambda: serve(controller, HERE), within=4)

    daemon.set_reachability(here="reachable", there="reachable")
    eventually(lambda: serve(controller, HERE, THERE), within=4)


def test_tasks_out_of_contact_are_better_than_none(controller: Controller, daemon: Daemon) -> None:
    daemon.set_nodes(here="down", there="down")
    controller.start(**daemon.environment)

    eventually(lambda: serve(controller, HERE, THERE))
    daemon.set_nodes(here="down", there="ready")
    eventually(lambda: serve(controller, THERE), within=2)


def test_without_the_right_to_list_nodes_all_tasks_serve_and_the_log_says_so(
    controller: Controller, daemon: Daemon
) -> None:
    daemon.forbidden = {"nodes"}
    daemon.set_nodes(here="ready", there="down")
    controller.start(**daemon.environment)

    eventually(lambda: serve(controller, HERE, THERE))
    assert controller.log.read_text().count("node listing failed") == 1
    assert controller.status["swarm"]["connected"]
