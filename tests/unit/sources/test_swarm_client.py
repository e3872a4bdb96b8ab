from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import requests
from docker.errors import APIError, DockerException, NotFound

from flowproxy.errors import SwarmUnavailable
from flowproxy.sources.swarm import client as module
from flowproxy.sources.swarm.client import Forbidden, SwarmClient, open_sdk
from flowproxy.sources.swarm.events import Events

SERVICE = {"ID": "s1", "CreatedAt": "2026-01-02T03:04:05Z", "Spec": {"Name": "web"}}


class Sdk:
    """Stands in for docker.APIClient; `answers` are what its calls return, or raise."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.closed = False

    def __getattr__(self, call: str) -> Any:
        def answer(**given: Any) -> Any:
            self.asked.append((call, given.get("filters")))
            found = self.answers.get(call, [])
            found = found(given.get("filters")) if callable(found) else found
            if isinstance(found, Exception):
                raise found
            return found

        return answer

    def close(self) -> None:
        self.closed = True


def refused(status: int, message: str = "no") -> APIError:
    response = requests.Response()
    response.status_code = status
    kind = NotFound if status == 404 else APIError
    return kind("refused", response, explanation=message)


async def connected(monkeypatch: pytest.MonkeyPatch, sdk: Sdk) -> SwarmClient:
    monkeypatch.setattr(module, "open_sdk", lambda *_: sdk)
    client = SwarmClient({})
    await client.connect()
    return client


async def test_services_and_tasks_are_asked_for_by_id_or_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = Sdk(services=[SERVICE], tasks=[{"ServiceID": "s1"}])
    client = await connected(monkeypatch, sdk)
    services, tasks = await client.services_and_tasks({"s1"})
    await client.services_and_tasks(None)
    await client.services({f"s{number}" for number in range(101)})
    client.close()

    assert [service.name for service in services] == ["web"]
    assert tasks == [{"ServiceID": "s1"}]
    assert ("services", {"id": ["s1"]}) in sdk.asked
    assert ("tasks", {"service": ["s1"]}) in sdk.asked
    assert [given for call, given in sdk.asked if call == "services"][1:] == [{}, {}]
    assert sdk.closed


async def test_tasks_of_a_removed_service_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def tasks(filters: dict[str, list[str]]) -> object:
        return refused(404) if "gone" in filters["service"] else [{"ServiceID": "s1"}]

    client = await connected(monkeypatch, Sdk(services=[SERVICE], tasks=tasks))

    assert await client.tasks({"s1", "gone"}) == [{"ServiceID": "s1"}]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (refused(500, "broken\nmore"), "broken"),
        (DockerException("no socket"), "no socket"),
        (requests.ConnectionError("reset"), "reset"),
        (ValueError("not JSON"), "not JSON"),
    ],
)
async def test_whatever_is_wrong_with_the_daemon_has_one_name_and_one_line(
    failure: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connected(monkeypatch, Sdk(services=failure))
    with pytest.raises(SwarmUnavailable) as raised:
        await client.services_and_tasks(None)

    assert said in str(raised.value)
    assert "more" not in str(raised.value)


@pytest.mark.parametrize("answer", [{"a": 1}, [{"ID": "s1"}], [1], "text"])
async def test_an_answer_that_is_not_what_the_api_says_is_not_taken(
    answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connected(monkeypatch, Sdk(services=answer))
    with pytest.raises(SwarmUnavailable, match="not understood"):
        await client.services(None)


@pytest.mark.parametrize("status", [401, 403, 405])
async def test_a_call_that_is_not_allowed_is_told_from_a_daemon_that_is_broken(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connected(monkeypatch, Sdk(nodes=refused(status)))
    with pytest.raises(Forbidden):
        await client.unreachable_nodes()


async def test_a_call_that_hangs_fails_and_the_next_connection_has_threads_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    client = await connected(monkeypatch, Sdk(networks=lambda _: release.wait(30) and []))
    monkeypatch.setattr(module, "_CALL_SECONDS", 0.05)
    try:
        for _ in range(module._THREADS):
            with pytest.raises(SwarmUnavailable, match="no whole answer within"):
                await client.networks()
        monkeypatch.setattr(module, "open_sdk", lambda *_: Sdk())
        monkeypatch.setattr(module, "_CALL_SECONDS", 5)
        await client.connect()
        assert await client.networks() == {}
    finally:
        release.set()


class Stream:
    """Yields events until it is closed."""

    def __init__(self, *events: Any) -> None:
        self._events = events
        self._closed = threading.Event()

    def __iter__(self) -> Any:
        yield from self._events
        self._closed.wait(30)
        raise OSError("closed")

    def close(self) -> None:
        self._closed.set()


async def test_events_are_collected_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream({"Type": "service", "Actor": {"ID": "s1"}}, {"Type": "node", "Actor": {"ID": "n1"}})
    client = await connected(monkeypatch, Sdk(events=stream))
    events = Events()
    async with asyncio.timeout(20), client.events(events):
        while events._node_moved is False:
            await events.wait(1)
        assert events.take() == ({"s1"}, True)
        assert not events.has_ended
    await asyncio.sleep(0)

    assert events.has_ended


def test_an_old_version_is_spoken_where_the_daemons_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(*, version: str, **_: object) -> Sdk:
        made.append(version)
        if version == "auto":
            raise DockerException("no version") from refused(403)
        too_old = refused(400, "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade")
        return Sdk(networks=too_old if version == "1.41" else [])

    monkeypatch.setattr("docker.APIClient", make)
    open_sdk({}, 10)

    assert made == ["auto", "1.41", "1.44"]
