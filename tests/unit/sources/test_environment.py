from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from flowproxy.errors import InvalidSettings
from flowproxy.features import Defaults
from flowproxy.services.admission import Admission, Rules, ServiceRequest
from flowproxy.services.registry import Origin, Registry
from flowproxy.sources.environment import Environment
from flowproxy.sources.source import State


def admission() -> Admission:
    return Admission(Registry(), Rules(dict.fromkeys(Origin, Defaults()), Defaults()))


def variables(number: str = "", **given: str) -> dict[str, str]:
    web = {"SERVICE_NAME": "web", "SERVICE_PATH": "/", "PORT": "80"} | given
    return {f"DFP_SERVICE_{number}{'_' if number else ''}{name}": value for name, value in web.items()}


async def test_its_services_replace_those_that_an_earlier_controller_saw() -> None:
    door = admission()
    door.admit_listed(ServiceRequest(Origin.ENVIRONMENT, 0.0, {"serviceName": "old", "servicePath": "/", "port": "80"}))
    source = Environment(door, variables() | variables("1", SERVICE_NAME="one"), None)
    await source.run()

    assert door.registry.snapshot().entries.keys() == {"web", "one"}
    assert source.status.state == State.OK


async def test_the_protocol_is_that_of_services_that_say_none() -> None:
    door = admission()
    tcp, http = variables("1", SRC_PORT="9000"), variables("2", SERVICE_NAME="two", REQ_MODE="http")
    await Environment(door, tcp | http, "tcp").run()

    modes = {name: entry.service.destinations[0].req_mode for name, entry in door.registry.snapshot().entries.items()}
    assert modes == {"web": "tcp", "two": "http"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (variables("1", PORT="x"), "DFP_SERVICE_1_*: service web: port: 'x'"),
        (variables(HTTPS_ONLY="perhaps"), "DFP_SERVICE_*: service web: httpsOnly"),
        (variables(USER="a:b"), "DFP_SERVICE_USER: is unknown, and looks like protection"),
    ],
)
def test_what_is_wrong_stops_the_start_by_its_name(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        Environment(admission(), given, None)

    assert said in str(raised.value)


def test_unknown_variables_are_logged_with_what_was_probably_meant() -> None:
    with capture_logs() as logs:
        Environment(admission(), variables(SERVICE_PTH="/a") | {"FLOWPROXY_STAT_DIR": "/x"}, None)

    found = {log["variable"]: log["meant"] for log in logs}
    assert found == {
        "DFP_SERVICE_SERVICE_PTH": "DFP_SERVICE_SERVICE_PATH",
        "FLOWPROXY_STAT_DIR": "FLOWPROXY_STATE_DIR",
    }


async def test_a_service_that_the_swarm_describes_differently_stays_the_swarms() -> None:
    door = admission()
    door.admit_listed(ServiceRequest(Origin.SWARM, 1.0, {"serviceName": "web", "servicePath": "/", "port": "81"}))
    await Environment(door, variables(), None).run()

    assert door.registry.snapshot().entries["web"].origin == Origin.SWARM
