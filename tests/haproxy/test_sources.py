"""What the sources of services have in common, as a user sees it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from controller import Controller, Origin
from support import eventually

Origins = Callable[[str], Origin]


@pytest.mark.parametrize(("variable", "parameter"), [("ADD_HEADER", "addReqHeader"), ("SET_HEADER", "setReqHeader")])
def test_an_old_name_works_in_the_environment_and_is_logged(
    controller: Controller, origin: Origins, variable: str, parameter: str
) -> None:
    controller.start(
        DFP_SERVICE_SERVICE_NAME="web",
        DFP_SERVICE_SERVICE_PATH="/",
        DFP_SERVICE_PORT=str(origin("web").port),
        DFP_SERVICE_OUTBOUND_HOSTNAME="127.0.0.1",
        **{f"DFP_SERVICE_{variable}": "X-Seen yes"},
    )

    assert "x-seen: yes" in controller.get("/").text.lower()
    assert f"instead={parameter}" in controller.log.read_text()
    assert controller.api("/v1/services/web").json["ignored"] == []


def test_the_status_lists_every_source_with_its_state(controller: Controller, origin: Origins) -> None:
    controller.start("--demo", LISTENER_ADDRESS="127.0.0.1:1", RELOAD_INTERVAL="20")

    def states() -> dict[str, str]:
        return {source["name"]: source["state"] for source in controller.status["sources"]}

    expected = {"swarm": "off", "environment": "ok", "demo": "ok", "api": "ok", "names": "ok", "listener": "failing"}
    eventually(lambda: states() == expected)
    by_name = {source["name"]: source for source in controller.status["sources"]}
    assert all(source.keys() == {"name", "state", "since", "last_success", "error"} for source in by_name.values())
    assert "127.0.0.1:1" in by_name["listener"]["error"]
    assert by_name["api"]["last_success"] is None

    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
    assert [s["last_success"] for s in controller.status["sources"] if s["name"] == "api"] > [by_name["api"]["since"]]


def test_a_saved_service_that_is_refused_now_is_listed_and_left_on_the_disk(
    controller: Controller, origin: Origins
) -> None:
    controller.start()
    given = {"servicePath": "/", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    controller.reconfigure("raw", **given, backendExtra="option abortonclose")
    controller.end()
    controller.start(FLOWPROXY_RAW_CONFIG="none")

    assert "backendExtra" in controller.status["quarantined"]["raw"]
    assert controller.api("/v1/services").json[0]["name"] == "raw"
    file = controller.folder / "services" / "raw.json"
    assert json.loads(file.read_text())["parameters"]["backendExtra"] == "option abortonclose"
    assert any("saved service is not used" in line and file.name in line for line in controller.log.open())

    assert controller.reconfigure("raw", **given).status == 200
    assert controller.status["quarantined"] == {}
    assert controller.get("/").status == 200
