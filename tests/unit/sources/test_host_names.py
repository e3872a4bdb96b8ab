from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from flowproxy.errors import UnknownAddress
from flowproxy.services.model import Endpoint
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.sources import host_names
from flowproxy.sources.host_names import Names
from flowproxy.sources.source import State

DNS: dict[str, list[str]] = {}


@pytest.fixture(autouse=True)
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def answer(name: str) -> list[str]:
        if name not in DNS:
            raise OSError("Name or service not known")
        return DNS[name]

    monkeypatch.setattr(host_names, "_addresses", answer)
    yield
    DNS.clear()


def registry_with(*hosts: str, **more: str) -> Registry:
    registry = Registry()
    for host in hosts:
        parameters = {"serviceName": host, "servicePath": f"/{host}", "port": "80", **more}
        registry.put(Entry(parse(parameters), Origin.API, 1.0, parameters))
    return registry


async def rounds(names: Names, count: int) -> None:
    """Run until that many rounds of look-ups have ended."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(names.run())
        for _ in range(count):
            await names.looked.wait()
            names.looked.clear()
            names.wake()
        running.cancel()


async def test_every_name_that_a_route_needs_is_looked_up() -> None:
    DNS.update({"tasks.a": ["10.0.0.1", "10.0.0.2"], "a": ["10.0.0.9"], "b": ["10.0.0.3"]})
    registry = registry_with("a", "b")
    names = Names(registry)
    await rounds(names, 1)

    found = registry.snapshot().addresses
    assert [endpoint.address for endpoint in found["a"]] == ["10.0.0.1", "10.0.0.2"]
    assert [endpoint.address for endpoint in found["b"]] == ["10.0.0.3"]
    assert names.status.state == State.OK


async def test_a_virtual_ip_is_asked_for_by_the_plain_name() -> None:
    DNS.update({"tasks.a": ["10.0.0.1"], "a": ["10.0.0.9"]})
    registry = registry_with("a", discoveryType="vip")
    await rounds(Names(registry), 1)

    assert [endpoint.address for endpoint in registry.snapshot().addresses["a"]] == ["10.0.0.9"]


async def test_names_that_the_swarm_places_are_not_looked_up() -> None:
    registry = registry_with("a")
    registry.place("a", [Endpoint("a.1.x", "10.0.0.1")])
    await rounds(Names(registry), 1)

    assert registry.snapshot().addresses == {}


async def test_a_name_that_does_not_resolve_is_said_in_the_status() -> None:
    names = Names(registry_with("a", "b"))
    DNS["a"] = ["10.0.0.1"]
    await rounds(names, 1)

    assert names.status.state == State.FAILING
    assert names.status.error == "names that do not resolve: b"


async def test_an_answer_that_fails_leaves_the_addresses_that_were_known() -> None:
    DNS["a"] = ["10.0.0.1"]
    registry = registry_with("a")
    names = Names(registry)
    await rounds(names, 1)
    DNS.clear()
    assert await names._refresh("a")

    assert [endpoint.address for endpoint in registry.snapshot().addresses["a"]] == ["10.0.0.1"]


async def test_a_call_waits_for_a_name_only_as_long_as_it_may() -> None:
    names = Names(registry_with())
    DNS["a"] = ["10.0.0.1"]
    await names.require("a", within=0)
    with pytest.raises(UnknownAddress, match="the name b does not resolve"):
        await names.require("b", within=0)


async def test_look_ups_in_threads_leave_the_registry_to_the_loop() -> None:
    hosts = [f"h{number}" for number in range(60)]
    DNS.update({host: [f"10.0.1.{number}"] for number, host in enumerate(hosts)})
    registry = registry_with(*hosts)
    await rounds(Names(registry), 3)

    assert {host: len(found) for host, found in registry.snapshot().addresses.items()} == dict.fromkeys(hosts, 1)
