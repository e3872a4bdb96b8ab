from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from flowproxy.control.registration import Registration
from flowproxy.errors import OwnedElsewhere, ProxyUnavailable, Rejected, UnknownAddress
from flowproxy.services.admission import Admission, Rules, ServiceRequest
from flowproxy.services.registry import Origin, Registry
from flowproxy.settings.model import Settings

WEB = {"serviceName": "web", "servicePath": "/", "port": "80", "outboundHostname": "web.internal"}


class Rounds:
    """Stands in for the reconciler: each call waits until its round ends, well or not."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self.at_once: Exception | None = None
        self.immediate = True

    async def live(self, generation: int, name: str) -> None:
        if self.immediate:
            if self.at_once:
                raise self.at_once
            return
        ended = asyncio.get_running_loop().create_future()
        self.begun.put_nowait(ended)
        await ended


class Names:
    def __init__(self) -> None:
        self.required: list[tuple[str, float]] = []
        self.unknown: set[str] = set()

    async def require(self, host: str, within: float) -> None:
        self.required.append((host, within))
        if host in self.unknown:
            raise UnknownAddress(host)


class Exchange:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


class House:
    def __init__(self, **settings: Any) -> None:
        given = Settings(**settings)
        self.registry = Registry()
        rules = Rules(dict.fromkeys(Origin, given.defaults), given.defaults_for_calls, given.takes)
        self.admission = Admission(self.registry, rules)
        self.rounds, self.names, self.exchange = Rounds(), Names(), Exchange()
        self.registration = Registration(
            given, self.admission, cast(Any, self.rounds), cast(Any, self.names), cast(Any, self.exchange)
        )

    async def register(self, called: float | None = None, **changed: str) -> None:
        parameters = WEB | changed
        await self.registration.register(self.registration.examine(parameters), parameters, called)

    @property
    def port(self) -> str | None:
        entry = self.registry.get("web")
        return entry.parameters["port"] if entry else None

    @property
    def removed(self) -> Mapping[str, float]:
        return self.registry.snapshot().removed


FAILURES = [Rejected("HAProxy refuses it"), ProxyUnavailable("no HAProxy")]


async def test_a_service_is_registered_when_it_is_live_and_the_other_replicas_are_told() -> None:
    house = House()
    house.rounds.immediate = False
    async with asyncio.TaskGroup() as calls:
        call = calls.create_task(house.register())
        ended = await house.rounds.begun.get()
        assert house.port == "80"
        assert not call.done()
        assert house.exchange.woken == 0
        ended.set_result(None)

    assert house.exchange.woken == 1
    assert house.registration.status.last_success is not None


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_refused_newcomer_is_removed_again(failure: Exception) -> None:
    house = House()
    house.rounds.at_once = failure
    with pytest.raises(type(failure)):
        await house.register()

    assert house.port is None
    assert house.removed.keys() == {"web"}
    assert house.exchange.woken == 0


@pytest.mark.parametrize("failure", FAILURES)
async def test_after_a_refused_change_or_removal_the_service_is_as_before_and_the_newest(failure: Exception) -> None:
    house = House()
    await house.register()
    before = house.registry.get("web")
    house.rounds.at_once = failure
    with pytest.raises(type(failure)):
        await house.register(port="81")
    with pytest.raises(type(failure)):
        await house.registration.remove("web")

    now = house.registry.get("web")
    assert before
    assert now
    assert (now.parameters, now.created) == (before.parameters, before.created)
    assert now.changed > before.changed
    assert house.removed == {}


async def test_a_refused_call_does_not_undo_a_later_one() -> None:
    house = House()
    house.rounds.immediate = False
    async with asyncio.TaskGroup() as calls:
        first = calls.create_task(_refused(house, "81"))
        round_of_first = await house.rounds.begun.get()
        second = calls.create_task(house.register(port="82"))
        round_of_second = await house.rounds.begun.get()
        round_of_first.set_exception(Rejected("no"))
        await first
        assert house.port == "82"
        round_of_second.set_result(None)
        await second

    assert house.port == "82"


async def test_of_two_refused_calls_none_goes_back_to_what_the_other_asked_for() -> None:
    house = House()
    await house.register()
    house.rounds.immediate = False
    async with asyncio.TaskGroup() as calls:
        rounds = []
        for port in ("81", "82"):
            calls.create_task(_refused(house, port))
            rounds.append(await house.rounds.begun.get())
        for ended in rounds:
            ended.set_exception(Rejected("no"))

    assert house.port == "80"


async def test_a_refused_call_does_not_undo_what_another_source_said_meanwhile() -> None:
    house = House()
    house.rounds.immediate = False
    async with asyncio.TaskGroup() as calls:
        calls.create_task(_refused(house, "81"))
        ended = await house.rounds.begun.get()
        house.admission.admit_listed(ServiceRequest(Origin.SWARM, 1.0, WEB | {"port": "90"}))
        ended.set_exception(Rejected("no"))

    assert house.port == "90"


async def test_a_service_without_replicas_is_removed_without_a_look_at_its_addresses() -> None:
    house = House()
    await house.register()
    house.names.required.clear()
    await house.register(replicas="0")

    assert house.port is None
    assert house.names.required == []
    assert house.removed.keys() == {"web"}


async def test_an_address_that_does_not_resolve_changes_nothing() -> None:
    house = House()
    house.names.unknown = {"web.internal"}
    with pytest.raises(UnknownAddress):
        await house.register()

    assert house.port is None
    assert house.removed == {}


async def test_addresses_may_be_left_out_or_waited_for() -> None:
    house = House(do_not_resolve_addr="true")
    await house.register()
    assert house.names.required == []

    patient = House(skip_address_validation="true", reconfigure_attempts="7")
    await patient.register()
    assert patient.names.required == [("web.internal", 7)]


async def test_a_call_that_was_passed_on_keeps_its_time_unless_that_is_in_the_future() -> None:
    house = House()
    await house.register(called=5.0)
    entry = house.registry.get("web")
    assert entry
    assert (entry.created, entry.changed) == (5.0, 5.0)

    await house.register(called=1e12, port="81")
    entry = house.registry.get("web")
    assert entry
    assert entry.changed < 1e11


async def test_what_another_source_describes_is_not_changed_and_the_call_refused() -> None:
    house = House()
    house.admission.admit_listed(ServiceRequest(Origin.SWARM, 1.0, WEB))
    await house.register()
    with pytest.raises(OwnedElsewhere):
        await house.register(port="81")
    with pytest.raises(OwnedElsewhere):
        await house.registration.remove("web")

    assert house.port == "80"


async def _refused(house: House, port: str) -> None:
    with pytest.raises(Rejected):
        await house.register(port=port)
