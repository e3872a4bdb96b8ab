"""A replica that is cut off from the Swarm serves on, and says how old its knowledge is."""

from __future__ import annotations

from collections.abc import Callable

from controller import Controller, Origin
from daemon import daemons
from support import eventually


def test_it_stays_ready_and_warns(controller: Controller, origin: Callable[[str], Origin]) -> None:
    with daemons() as daemon:
        daemon.put("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
        controller.start(**daemon.environment)
        eventually(lambda: controller.get("/").status == 200)
        assert not _about_the_swarm(controller)

    (warning,) = eventually(lambda: _about_the_swarm(controller), within=20)
    assert warning.endswith("s; what is served is as it was then")
    assert 5 <= int(warning.removeprefix("the Swarm has not been reached for ").split()[0]) < 20
    assert controller.status["ready"] is True
    assert controller.api("/v1/ready").status == 200
    assert controller.get("/").status == 200


def _about_the_swarm(controller: Controller) -> list[str]:
    return [text for text in controller.status["warnings"] if text.startswith("the Swarm ")]
