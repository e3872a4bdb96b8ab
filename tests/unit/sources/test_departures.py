from __future__ import annotations

from flowproxy.sources.swarm.departures import Departures
from flowproxy.sources.swarm.listing import Task

NO_NODES: frozenset[str] = frozenset()
OLD = Task("old", "web", "running", "running", (), "n1")
LEAVING = OLD._replace(desired="shutdown")
NEW = Task("new", "web", "running", "running", (), "n2")


def names(departures: Departures, *tasks: Task, now: float, unreachable: frozenset[str] = NO_NODES) -> list[str]:
    return sorted(task.name for task in departures.serving("web", tasks, unreachable, now))


def test_the_last_old_task_serves_on_until_a_new_one_has_run_for_a_while() -> None:
    departures = Departures()
    assert names(departures, OLD, now=0) == ["old"]
    assert names(departures, OLD, NEW, now=100) == ["new", "old"]

    assert names(departures, LEAVING, NEW, now=100.5) == ["new", "old"]
    assert names(departures, LEAVING, NEW, now=101.9) == ["new", "old"]
    assert names(departures, LEAVING, NEW, now=102.1) == ["new"]


def test_a_task_that_is_to_stop_leaves_at_once_where_others_have_run_for_long() -> None:
    departures = Departures()
    assert names(departures, OLD, NEW, now=0) == ["new", "old"]
    assert names(departures, LEAVING, NEW, now=3) == ["new"]


def test_no_task_serves_on_for_longer_than_it_is_sure_to_run() -> None:
    departures = Departures()
    assert names(departures, OLD, now=0) == ["old"]
    assert names(departures, LEAVING, NEW, now=1) == ["new", "old"]
    newer = NEW._replace(name="newer")
    assert names(departures, LEAVING, newer, now=2.9) == ["newer", "old"]
    assert names(departures, LEAVING, newer, now=3.1) == ["newer"]


def test_a_service_that_is_scaled_to_none_leaves_at_once() -> None:
    departures = Departures()
    assert names(departures, OLD, now=0) == ["old"]
    assert names(departures, LEAVING, now=0.1) == []


def test_a_task_on_a_node_out_of_contact_neither_serves_on_nor_counts_as_ready() -> None:
    departures = Departures()
    far = OLD._replace(name="far", node_id="n3")
    assert names(departures, OLD, far, now=0) == ["far", "old"]

    assert names(departures, LEAVING, far, NEW, now=5, unreachable=frozenset({"n3"})) == ["new", "old"]
    assert names(departures, LEAVING, NEW, now=5.1, unreachable=frozenset({"n1"})) == ["new"]


def test_a_service_that_is_gone_is_forgotten() -> None:
    departures = Departures()
    assert names(departures, NEW, now=0) == ["new"]
    departures.retain({"other"})

    assert names(departures, LEAVING, NEW, now=5) == ["new", "old"]
