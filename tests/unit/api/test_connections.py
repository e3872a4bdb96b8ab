"""Which connection makes room for a new one."""

from __future__ import annotations

import asyncio

from flowproxy.api.connections import Connection, Connections


class Client(Connection):
    def __init__(self, address: str, connections: Connections) -> None:
        super().__init__(address, connections, asyncio.Protocol)
        self.ended = False

    def end(self) -> None:
        self.ended = True


def connect(connections: Connections, address: str, number: int = 1) -> list[Client]:
    """Those that are let in."""
    clients = [Client(address, connections) for _ in range(number)]
    return [client for client in clients if connections.admit(client)]


def open_ones(clients: list[Client]) -> int:
    return sum(not client.ended for client in clients)


def test_one_address_gets_half_and_the_newest_stay() -> None:
    connections = Connections(16)
    clients = connect(connections, "a", 100)
    assert [client.ended for client in clients] == [True] * 92 + [False] * 8
    assert len(connections) == 8


def test_the_address_that_has_most_makes_room() -> None:
    connections = Connections(16)
    many, some = connect(connections, "a", 8), connect(connections, "b", 5)
    few = connect(connections, "c", 8)
    assert len(connections) == 16
    assert (open_ones(many), open_ones(some), open_ones(few)) == (5, 5, 6)


def test_who_waits_for_an_answer_stays() -> None:
    connections = Connections(16)
    (first,) = connect(connections, "a")
    with first.at_work():
        connect(connections, "a", 100)
    assert not first.ended
    connect(connections, "a", 8)
    assert not first.ended  # its idle time began anew
    connect(connections, "a")
    assert first.ended


def test_nobody_makes_room_for_another_call() -> None:
    connections = Connections(16)
    for _ in range(16):
        (client,) = connect(connections, "a")
        connections.start_work(client)
    assert connect(connections, "b") == []
    connections.end_work(client)
    assert len(connect(connections, "b")) == 1
    assert client.ended


def test_who_is_gone_is_forgotten() -> None:
    connections = Connections(16)
    idle, working = connect(connections, "a", 2)
    with working.at_work():
        working.connection_lost(None)
    idle.connection_lost(None)
    idle.connection_lost(None)
    assert len(connections) == 0
    assert not connections.end_longest_idle()
