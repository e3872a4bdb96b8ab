"""The same parameters through every door lead to the same service, refusals, warnings and log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from flowproxy.errors import InvalidService, InvalidSettings, OwnedElsewhere, Untrusted
from flowproxy.features import Defaults
from flowproxy.services.admission import Admission, Channel, Rules, ServiceRequest
from flowproxy.services.registry import Origin, Registry
from flowproxy.services.store import Store
from flowproxy.settings.model import Settings
from flowproxy.sources.environment import Environment, variable_of
from flowproxy.sources.listener import Listeners
from flowproxy.sources.swarm.catalog import Catalog
from flowproxy.sources.swarm.listing import SwarmService

WEB = {"serviceName": "web", "servicePath": "/web", "port": "80"}
SOURCES = ("swarm", "environment", "api", "replica", "listener", "state")
NOBODY_ANSWERED = ("swarm", "listener", "state")  # sources that wait for no answer


def admission(raw: str = "safe", **settings: Any) -> Admission:
    given = Settings(raw_config=raw, **settings)
    listed = dict.fromkeys(Origin, given.defaults)
    return Admission(Registry(), Rules(listed, given.defaults_for_calls, given.takes))


def through(source: str, door: Admission, parameters: Mapping[str, str], folder: Path) -> str | None:
    """Hand the parameters over as the source does; return the refusal that its caller gets, if it has one."""
    try:
        _DOORS[source](door, dict(parameters), folder)
    except (InvalidService, InvalidSettings) as error:
        return str(error)
    return None


def _swarm(door: Admission, parameters: dict[str, str], folder: Path) -> None:
    name = parameters.pop("serviceName", "web")
    labels = {f"com.df.{key}": value for key, value in parameters.items()} | {"com.df.notify": "true"}
    listed = SwarmService("id", name, labels, 1.0, 1, is_global=False, is_job=False, updating=False)
    Catalog(door, "com.df.").replace([listed])


def _environment(door: Admission, parameters: dict[str, str], folder: Path) -> None:
    given = {}
    for key, value in parameters.items():
        name, _, index = key.partition(".")
        given[f"DFP_SERVICE_{variable_of(name)}{'_' if index else ''}{index}"] = value
    environment = Environment(door, given, None)
    _run(environment.run())


def _api(door: Admission, parameters: dict[str, str], _: Path) -> None:
    door.admit(ServiceRequest(Origin.API, 1.0, parameters, changed=1.0, channel=Channel.CALLED))


def _replica(door: Admission, parameters: dict[str, str], _: Path) -> None:
    door.admit(ServiceRequest(Origin.API, 1.0, parameters, changed=1.0, channel=Channel.REPLICATED))


def _listener(door: Admission, parameters: dict[str, str], _: Path) -> None:
    Listeners(Settings(), door).take([parameters])


def _state(door: Admission, parameters: dict[str, str], folder: Path) -> None:
    saved = folder / "services" / "web.json"
    saved.parent.mkdir(exist_ok=True)
    saved.write_text(json.dumps({"origin": "api", "created": 1.0, "parameters": parameters}))
    Store(folder).load(door.admit_listed)


def _run(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


_DOORS: dict[str, Callable[[Admission, dict[str, str], Path], None]] = {
    "swarm": _swarm,
    "environment": _environment,
    "api": _api,
    "replica": _replica,
    "listener": _listener,
    "state": _state,
}


@pytest.fixture
def logged() -> Iterator[list[Mapping[str, Any]]]:
    with capture_logs() as logs:
        yield logs  # type: ignore[misc] # structlog's dictionaries are mappings


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_service_comes_through_every_door(source: str, tmp_path: Path) -> None:
    door = admission()
    given = WEB | {"port.1": "81", "servicePath.1": "/a", "httpsOnly": "true", "setReqHeader": "X-A b"}

    assert through(source, door, given, tmp_path) is None
    known = door.registry.get("web")
    assert known
    expected = admission().examine(ServiceRequest(Origin.SWARM, 0.0, given))
    assert known.service.asks_the_same(expected)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("addHeader", "X-A b", "addReqHeader"),
        ("setHeader", "X-A b", "setReqHeader"),
        ("reqPathSearch", "^/a", "reqPathSearchReplace"),
        ("serviceDomainMatchAll", "true", "serviceDomainAlgo=hdr_dom(host)"),
    ],
)
def test_a_deprecated_name_works_and_is_logged_once_through_every_door(
    source: str, old: str, value: str, new: str, tmp_path: Path, logged: list[Mapping[str, Any]]
) -> None:
    door = admission()
    for _ in range(2):
        assert through(source, door, WEB | {old: value}, tmp_path) is None

    found = [(log["service"], log["parameter"], log["instead"]) for log in logged if log["event"].startswith("depr")]
    assert found == [("web", old, new)]
    known = door.registry.get("web")
    assert known
    changed = known.service.model_dump(exclude_defaults=True) | known.service.destinations[0].model_dump()
    assert changed.keys() & {"add_req_header", "set_req_header", "service_domain_algo", "req_path_search_replace"}
    assert known.service.ignored == ()


@pytest.mark.parametrize("source", SOURCES)
def test_a_warning_is_logged_and_kept_through_every_door(
    source: str, tmp_path: Path, logged: list[Mapping[str, Any]]
) -> None:
    door = admission()
    given = WEB | {"redirectWhenHttpProto": "true"}
    assert through(source, door, given, tmp_path) is None

    known = door.registry.get("web")
    assert known
    (warning,) = known.service.warnings
    assert [log["warning"] for log in logged if log["event"] == "service warning"] == [warning]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"httpsOnly": "perhaps"}, "httpsOnly: 'perhaps': must be true or false"),
        ({"templateBePath": "/a"}, "templateBePath: is a template"),
        ({"port": "0"}, "port: '0'"),
    ],
)
def test_a_refusal_has_the_same_words_through_every_door_and_leaves_the_last_good_version(
    source: str, wrong: dict[str, str], reason: str, tmp_path: Path, logged: list[Mapping[str, Any]]
) -> None:
    door = admission()
    assert through(source, door, WEB, tmp_path) is None
    answered = through(source, door, WEB | wrong, tmp_path)
    recorded = door.registry.snapshot().invalid.get("web")

    said = recorded if source in NOBODY_ANSWERED else answered
    assert said
    assert reason in said
    assert (answered is None) == (source in NOBODY_ANSWERED)
    refused = [log for log in logged if log["event"] == "service refused"]
    assert len(refused) == (source in NOBODY_ANSWERED)
    known = door.registry.get("web")
    assert known
    assert known.parameters["port"] == "80"
    assert through(source, door, WEB, tmp_path) is None
    assert door.registry.snapshot().invalid == {}


@pytest.mark.parametrize("source", sorted({*SOURCES} - {"replica"}))
def test_a_service_for_another_proxy_is_not_taken_through_any_door(source: str, tmp_path: Path) -> None:
    door = admission(filter_proxy_instance_name="true")
    ours = WEB | {"proxyInstanceName": "docker-flow"}
    assert through(source, door, ours, tmp_path) is None
    assert door.registry.get("web")

    assert through(source, door, WEB | {"proxyInstanceName": "other"}, tmp_path) is None
    assert door.registry.get("web") is None
    assert door.registry.snapshot().invalid == {}


@pytest.mark.parametrize("source", ["environment", "api", "listener", "state"])
def test_a_service_without_replicas_is_not_taken_through_any_door(source: str, tmp_path: Path) -> None:
    door = admission()
    assert through(source, door, WEB, tmp_path) is None
    assert through(source, door, WEB | {"replicas": "0"}, tmp_path) is None

    assert door.registry.get("web") is None


def test_what_calls_may_write_differs_from_what_listed_services_may() -> None:
    rules = Rules(dict.fromkeys(Origin, Defaults(raw="safe")), Defaults(raw="none"))
    door = Admission(Registry(), rules)
    raw = WEB | {"backendExtra": "option abortonclose"}

    with pytest.raises(Untrusted):
        door.admit(ServiceRequest(Origin.API, 1.0, raw, channel=Channel.CALLED))
    assert door.admit_listed(ServiceRequest(Origin.API, 1.0, raw))


def test_a_source_does_not_take_over_from_one_that_outranks_it() -> None:
    door = admission()
    assert door.admit_listed(ServiceRequest(Origin.SWARM, 1.0, WEB))
    other = WEB | {"port": "81"}

    assert not door.admit_listed(ServiceRequest(Origin.ENVIRONMENT, 0.0, other))
    with pytest.raises(OwnedElsewhere):
        door.admit(ServiceRequest(Origin.API, 2.0, other, channel=Channel.CALLED))
    assert door.registry.snapshot().entries["web"].parameters == WEB
    assert door.registry.snapshot().invalid == {}


def test_a_source_withdraws_only_its_own_service_and_refusal() -> None:
    door = admission()
    door.admit_listed(ServiceRequest(Origin.API, 1.0, WEB))
    door.admit_listed(ServiceRequest(Origin.SWARM, 1.0, WEB | {"port": "x"}))
    door.withdraw("web", Origin.SWARM)

    assert door.registry.get("web")
    assert door.registry.snapshot().invalid == {}


def test_a_listing_that_says_the_same_again_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    door = admission()
    request = ServiceRequest(Origin.SWARM, 1.0, WEB)
    door.admit_listed(request)
    monkeypatch.setattr("flowproxy.services.admission.parse", None)

    assert door.admit_listed(request._replace(parameters=dict(WEB)))


def test_what_was_logged_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowproxy.services.admission._REMEMBERED", 2)
    door = admission()
    for number in range(9):
        door.admit_listed(ServiceRequest(Origin.API, 1.0, WEB | {"serviceName": f"s{number}", "addHeader": "X-A b"}))

    assert len(door._logged) <= 2
