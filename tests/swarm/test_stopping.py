"""A controller that watches a real Swarm ends as soon as its HAProxy has."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from controller import Controller
from support import eventually
from swarm.testbed import Swarm


@pytest.fixture
def watching(clear_swarm: Swarm, tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(tmp_path / "state")
    try:
        controller.start(DOCKER_HOST=clear_swarm.host, FLOWPROXY_SWARM="on")
        eventually(lambda: controller.status["swarm"]["connected"])
        yield controller
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace"))


@pytest.mark.parametrize("moment", ["at rest", "while services come"])
def test_the_stream_of_events_and_listings_hold_nothing(clear_swarm: Swarm, watching: Controller, moment: str) -> None:
    if moment != "at rest":
        for number in range(5):
            watching.reconfigure(f"s{number}", servicePath=f"/{number}", port="80", outboundHostname="127.0.0.1")
    haproxy = psutil.Process(watching.status["haproxy"]["pid"])
    assert watching.process
    watching.process.send_signal(signal.SIGTERM)
    psutil.wait_procs([haproxy], timeout=30)
    stopped = time.monotonic()

    assert watching.process.wait(30) == 0
    assert time.monotonic() - stopped < 0.5
