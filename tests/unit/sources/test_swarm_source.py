"""The Swarm source with a client that answers from memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from flowproxy.errors import SwarmUnavailable
from flowproxy.features import Defaults
from flowproxy.services.admission import Admission, Rules, ServiceRequest
from flowproxy.services.registry import Origin, Registry
from flowproxy.settings.model import Settings
from flowproxy.sources.source import State
from flowproxy.sources.swarm import source
from flowproxy.sources.swarm.client import Forbidden
from flowproxy.sources.swarm.events import Events
from flowproxy.sources.swarm.listing import SwarmService, as_task
from flowproxy.sources.swarm.source import Swarm

ROUTED = {"com.df.notify": "true", "com.df.servicePath": "/", "com.df.port": "80"}


def service(name: str, created: float = 1.0, **labels: str) -> SwarmService:
    given = ROUTED | {key.replace("__", "."): value for key, value in labels.items()}
    return SwarmService(name, name, given, created, 1, is_global=False, is_job=False, updating=False)


def task(service_id: str, address: str = "127.0.0.5/8", node: str = "n1", state: str = "running") -> dict[str, Any]:
    return {
        "ID": f"{service_id}-{address}",
        "ServiceID": service_id,
        "Slot": 1,
        "NodeID": node,
        "Status": {"State": state},
        "DesiredState": "running",
        "NetworksAttachments": [{"Network": {"Spec": {"Name": "proxy"}}, "Addresses": [address]}],
    }


class Daemon:
    """Stands in for SwarmClient."""

    is_connected = True

    def __init__(self) -> None:
        self.listed: list[SwarmService] = []
        self.running: list[dict[str, Any]] = []
        self.unreachable: frozenset[str] | Exception = frozenset()
        self.failure: SwarmUnavailable | None = None
        self.asked: asyncio.Queue[None] = asyncio.Queue()

    async def connect(self) -> None:
        self._answer()

    def close(self) -> None:
        pass

    async def services_and_tasks(
        self, identities: set[str] | None
    ) -> tuple[list[SwarmService], Sequence[Mapping[str, Any]]]:
        return list(self.listed), await self.tasks(identities)

    async def tasks(self, identities: Collection[str] | None) -> Sequence[Mapping[str, Any]]:
        self._answer()
        return [one for one in self.running if identities is None or one["ServiceID"] in identities]

    async def networks(self) -> dict[Any, str]:
        return {ip_network("127.0.0.0/8"): "proxy"}

    async def unreachable_nodes(self, role: str | None = None) -> frozenset[str]:
        if isinstance(self.unreachable, Exception):
            raise self.unreachable
        return self.unreachable

    @asynccontextmanager
    async def events(self, events: Events) -> AsyncIterator[None]:
        yield

    def _answer(self) -> None:
        self.asked.put_nowait(None)
        if self.failure:
            raise self.failure


class House:
    def __init__(self) -> None:
        self.registry = Registry()
        self.admission = Admission(self.registry, Rules(dict.fromkeys(Origin, Defaults()), Defaults()))
        self.swarm = Swarm(self.admission, Settings(swarm="on"), {})
        self.daemon = Daemon()
        self.swarm._client = self.swarm._nodes._client = cast(Any, self.daemon)

    def serve(self, *services: SwarmService) -> None:
        self.daemon.listed = list(services)
        self.daemon.running = [task(one.id) for one in services]

    async def list_everything(self) -> None:
        await self.swarm._list_everything()

    async def hear(self, *identities: str, kind: str = "service") -> None:
        for identity in identities:
            self.swarm._events.hear(kind, identity)
        await self.swarm._list_changes()

    @property
    def names(self) -> set[str]:
        return set(self.registry.snapshot().entries)

    @property
    def addresses(self) -> dict[str, list[str]]:
        return {name: [one.address for one in found] for name, found in self.registry.snapshot().tasks.items()}


@pytest.fixture
async def house() -> House:
    return House()


async def test_a_listing_registers_services_and_places_their_tasks(house: House) -> None:
    house.serve(service("web"), service("job", com__df__notify="false"))
    await house.list_everything()

    assert house.names == {"web"}
    assert house.addresses == {"web": ["127.0.0.5"]}
    assert house.swarm.looked.is_set()
    assert house.swarm.connection.connected
    assert house.swarm.status.state == State.OK
    assert house.registry.snapshot().confirmed == house.swarm.connection.last_listing


async def test_an_event_brings_changes_and_removals_of_its_service_alone(house: House) -> None:
    house.serve(service("web"), service("api"))
    await house.list_everything()
    house.serve(service("web", com__df__port="81"), service("new"))
    await house.hear("web", "new")

    assert house.names == {"web", "api", "new"}
    assert house.registry.snapshot().entries["web"].parameters["port"] == "81"
    await house.hear("api")
    assert house.names == {"web", "new"}
    assert house.addresses.keys() == {"web", "new"}


async def test_a_refused_service_keeps_its_last_good_version_and_its_refusal_goes_with_it(house: House) -> None:
    house.serve(service("web"))
    await house.list_everything()
    house.serve(service("web", com__df__port="x"))
    await house.hear("web")
    assert "port: 'x'" in house.registry.snapshot().invalid["web"]
    assert house.names == {"web"}

    house.serve(service("web", com__df__port="x", com__df__notify="false"))
    await house.hear("web")
    assert house.registry.snapshot().invalid == {}
    assert house.names == set()


async def test_a_service_on_no_network_of_the_proxy_has_a_remark_until_it_is(house: House) -> None:
    house.serve(service("web"))
    house.daemon.running = [task("web", "10.99.0.5/24")]
    with capture_logs() as logs:
        await house.list_everything()
        await house.list_everything()
    remark = "it is on no network of the proxy; add proxy to it"
    assert house.registry.snapshot().remarks == {"web": remark}
    assert [log["reason"] for log in logs if log["event"] == "service needs attention"] == [remark]

    house.daemon.running = [task("web")]
    await house.list_everything()
    assert house.registry.snapshot().remarks == {}


async def test_a_remark_goes_with_its_service(house: House) -> None:
    house.serve(service("web"))
    house.daemon.running = [task("web", "10.99.0.5/24")]
    await house.list_everything()
    house.serve(service("other"))
    await house.list_everything()

    assert house.registry.snapshot().remarks == {}


async def test_a_short_name_moves_on_when_its_owner_leaves(house: House) -> None:
    def short(stack: str, created: float) -> SwarmService:
        return service(f"{stack}_web", created, com__docker__stack__namespace=stack, com__df__shortName="true")

    first, second = short("a", 1), short("b", 2)
    house.serve(first, second)
    await house.list_everything()
    assert house.names == {"web", "b_web"}
    assert "the short name web is another service's" in house.registry.snapshot().remarks["b_web"]

    house.serve(second)
    await house.hear("a_web")
    assert house.names == {"web"}
    assert house.addresses == {"web": ["127.0.0.5"]}
    assert house.registry.snapshot().remarks == {}


async def test_tasks_on_nodes_out_of_contact_leave(house: House) -> None:
    house.serve(service("web"))
    house.daemon.running = [task("web"), task("web", "127.0.0.6/8", node="n2")]
    await house.list_everything()
    house.daemon.unreachable = frozenset({"n2"})
    await house.hear("n2", kind="node")

    assert house.addresses == {"web": ["127.0.0.5"]}


async def test_where_nodes_may_not_be_listed_that_is_said_once(house: House) -> None:
    house.serve(service("web"))
    house.daemon.unreachable = Forbidden("403")
    with capture_logs() as logs:
        await house.list_everything()
        await house.list_everything()

    assert len([log for log in logs if log["event"].startswith("node listing failed")]) == 1
    assert house.names == {"web"}


async def test_an_empty_listing_is_doubted(house: House) -> None:
    house.serve(service("web"))
    await house.list_everything()
    house.serve()
    await house.list_everything()

    assert house.names == {"web"}


async def test_what_only_the_api_knows_by_its_name_is_placed_too(house: House) -> None:
    parameters = {"serviceName": "web", "servicePath": "/", "port": "80"}
    house.admission.admit_listed(ServiceRequest(Origin.API, 1.0, parameters))
    house.serve(service("web", com__df__notify="false"))
    await house.list_everything()

    assert house.addresses == {"web": ["127.0.0.5"]}
    assert house.names == {"web"}


async def test_a_daemon_out_of_reach_changes_nothing_and_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BACKOFF", (0.001,))
    house.serve(service("web"))
    await house.list_everything()
    house.daemon.failure = SwarmUnavailable("refused")
    house.daemon.asked = asyncio.Queue()
    with capture_logs() as logs:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(house.swarm.run())
            for _ in range(3):
                await house.daemon.asked.get()
            status = house.swarm.status
            house.swarm.looked.clear()
            house.daemon.failure = None
            await house.swarm.looked.wait()
            running.cancel()

    assert (status.state, status.error) == (State.FAILING, "refused")
    assert len([log for log in logs if log["event"].startswith("swarm unreachable")]) == 1
    assert house.names == {"web"}
    assert house.swarm.connection.connected


async def test_a_stream_without_events_though_services_change_is_opened_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.serve(service("web"))
    await house.list_everything()
    before = house.swarm._catalog.services
    house.serve(service("web", com__df__port="81"))
    await house.list_everything()

    assert house.swarm._has_missed_events(before, at=1e9)
    house.swarm._events.hear("service", "web")
    assert not house.swarm._has_missed_events(before, at=1e9)


async def test_replicas_are_the_tasks_of_the_service_that_has_our_address(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wanted_tasks() -> list[Any]:
        addresses = [("proxy", "127.0.0.1/8"), ("proxy", "10.0.0.7/24"), ("web", "10.0.0.8/24")]
        return [as_task(task(owner, address), "") for owner, address in addresses]

    house.daemon.wanted_tasks = wanted_tasks  # type: ignore[attr-defined] # one more answer

    assert await house.swarm.replicas() == frozenset({"127.0.0.1", "10.0.0.7"})
