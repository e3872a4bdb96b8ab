"""Two replicas in memory come to the same services, removals and certificates."""

from __future__ import annotations

import json
from unittest.mock import AsyncMock, Mock

import pytest

from flowproxy.cluster.replicas import Reply
from flowproxy.control.exchange import RECORDS, STATE, Exchange
from flowproxy.errors import InvalidService, NotStored
from flowproxy.features import Defaults
from flowproxy.services.admission import Admission, Rules
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.settings.model import Settings

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}


class Replica:
    """One replica; what it sends to another is handed over at once."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.registry = Registry()
        self.keyring = Mock(put=AsyncMock())
        self.keyring.kept.return_value = []
        self.keyring.shared.return_value = {}
        self.keyring.changed_at.return_value = 0.0
        self.others: dict[str, Replica] = {}
        network = Mock(others=AsyncMock(side_effect=lambda: list(self.others)), call=self._call)
        admission = Admission(self.registry, Rules(dict.fromkeys(Origin, Defaults()), Defaults()))
        self.exchange = Exchange(Settings(), admission, self.keyring, network)

    async def _call(self, address: str, path: str, body: str) -> Reply:
        other = self.others[address].exchange
        if path == RECORDS:
            await other.take(body)
            return Reply(address, 200, "{}")
        assert path == STATE
        state = await other.compare_with(self.address, json.loads(body))
        return Reply(address, 200, json.dumps(state._asdict()))

    def put(self, changed: float, **parameters: str) -> None:
        given = WEB | parameters
        self.registry.put(Entry(parse(given), Origin.API, changed, given, changed=changed))


def two() -> tuple[Replica, Replica]:
    one, other = Replica("10.0.0.1"), Replica("10.0.0.2")
    one.others, other.others = {other.address: other}, {one.address: one}
    return one, other


def ports(replica: Replica) -> dict[str, str]:
    return {name: entry.parameters["port"] for name, entry in replica.registry.snapshot().entries.items()}


async def test_what_is_newer_on_either_side_comes_to_the_other() -> None:
    one, other = two()
    one.put(10.0, port="1")
    other.put(20.0, port="2")
    one.put(30.0, serviceName="api", port="3")

    await one.exchange.compare()

    assert ports(one) == ports(other) == {"web": "2", "api": "3"}
    status = one.exchange.status
    assert (status.others, status.agree, status.differing) == (1, True, {})
    assert status.last_compared


async def test_alone_there_is_nothing_to_compare() -> None:
    one = Replica("10.0.0.1")
    await one.exchange.compare()

    assert one.exchange.status == (0, True, {}, None)


async def test_what_another_replica_does_not_take_is_named_with_the_reason() -> None:
    one, other = two()
    one.keyring.shared.return_value = {"a.pem": (10.0, "PEM")}
    other.keyring.put.side_effect = NotStored("a.pem cannot be written: No space left on device")

    await one.exchange.compare()

    other.keyring.put.assert_awaited_with("a.pem", "PEM", 10.0)
    assert one.exchange.status.agree is False
    assert one.exchange.differing == {"10.0.0.2": "a.pem: a.pem cannot be written: No space left on device"}


@pytest.mark.parametrize(
    "versions", ["", "{}", "[1]", '[["nonsense", "web", 1, "abc"]]', '[["service", "web", -1, "a"]]']
)
async def test_versions_that_cannot_be_read_are_refused(versions: str) -> None:
    with pytest.raises(InvalidService, match="versions"):
        await Replica("10.0.0.1").exchange.compare_with("10.0.0.2", {"versions": versions})


@pytest.mark.parametrize("records", ["", "{}", "[1]", '[["service", "web", 1, 1, "abc"]]'])
async def test_records_that_cannot_be_read_are_refused(records: str) -> None:
    replica = Replica("10.0.0.1")
    with pytest.raises(InvalidService, match="records"):
        await replica.exchange.take(records)
    assert ports(replica) == {}
