from __future__ import annotations

import pytest

from flowproxy.errors import OwnedElsewhere
from flowproxy.services.model import Endpoint
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry


def entry(name: str = "web", origin: Origin = Origin.API, created: float = 1, path: str = "/") -> Entry:
    parameters = {"serviceName": name, "servicePath": path, "port": "80"}
    return Entry(parse(parameters), origin, created, parameters)


class Woken:
    def __init__(self) -> None:
        self.times = 0
        self.registry = Registry(self._wake)

    def _wake(self) -> None:
        self.times += 1


def test_a_change_raises_the_generation_and_wakes() -> None:
    woken = Woken()

    assert woken.registry.put(entry()) == 1
    assert woken.registry.put(entry(path="/b")) == 2
    assert woken.times == 2


def test_what_changes_nothing_wakes_nobody() -> None:
    woken = Woken()
    woken.registry.put(entry())

    assert woken.registry.put(entry(created=5)) == 1
    assert woken.registry.remove("unknown", Origin.API) == 1
    assert woken.times == 1


def test_an_updated_service_keeps_its_age() -> None:
    registry = Registry()
    registry.put(entry(created=1))
    registry.put(entry(created=9, path="/b"))

    assert registry.snapshot().entries["web"].created == 1


def test_ages_are_those_that_were_saved_in_whatever_order_they_are_read() -> None:
    registry = Registry()
    registry.put(entry("old", created=9))
    registry.put(entry("older", created=5))

    assert registry.snapshot().entries["older"].created == 5


def test_a_newcomer_is_the_youngest_though_the_clock_was_put_back() -> None:
    registry = Registry()
    registry.put(entry("web", created=9))

    assert registry.created_at(10) == 10
    assert registry.created_at(9) > 9
    assert registry.created_at(1) > 9


def test_the_swarm_takes_over_what_the_api_registered() -> None:
    registry = Registry()
    registry.put(entry())
    registry.put(entry(origin=Origin.SWARM, path="/labels"))

    assert registry.snapshot().entries["web"].origin == Origin.SWARM
    assert registry.snapshot().entries["web"].service.destinations[0].service_path == ("/labels",)


def test_the_api_cannot_change_what_labels_say_but_may_repeat_it() -> None:
    registry = Registry()
    registry.put(entry(origin=Origin.SWARM))

    assert registry.put(entry()) == 1
    with pytest.raises(OwnedElsewhere, match="its parameters come from swarm"):
        registry.put(entry(path="/other"))
    with pytest.raises(OwnedElsewhere):
        registry.remove("web", Origin.API)


def test_a_complete_listing_forgets_only_what_its_own_source_lost() -> None:
    registry = Registry()
    registry.put(entry("a", Origin.SWARM))
    registry.put(entry("b", Origin.SWARM))
    registry.put(entry("c", Origin.API))
    registry.retain(Origin.SWARM, ["b"])

    assert registry.snapshot().entries.keys() == {"b", "c"}


def test_a_refused_service_keeps_its_last_good_version() -> None:
    registry = Registry()
    registry.put(entry(origin=Origin.SWARM))
    registry.refuse("web", Origin.SWARM, "port: 'x': must be a number")

    snapshot = registry.snapshot()
    assert snapshot.entries.keys() == {"web"}
    assert snapshot.invalid == {"web": "port: 'x': must be a number"}

    registry.put(entry(origin=Origin.SWARM))
    assert registry.snapshot().invalid == {}


def test_tasks_go_before_what_the_name_resolves_to() -> None:
    registry = Registry()
    registry.resolve("web", [Endpoint("vip", "10.0.0.9")])
    registry.place("web", [Endpoint("web.1.x", "10.0.0.1")])

    assert registry.snapshot().endpoints["web"] == (Endpoint("web.1.x", "10.0.0.1"),)
    registry.place("web", None)
    assert registry.snapshot().endpoints["web"] == (Endpoint("vip", "10.0.0.9"),)


def test_a_removal_is_remembered_until_the_service_comes_again() -> None:
    registry = Registry()
    registry.put(entry("web")._replace(changed=1.0))
    registry.remove("web", Origin.API, at=2.0)
    assert registry.snapshot().removed == {"web": 2.0}
    assert registry.created_at(0.0) > 2.0
    registry.put(entry("web")._replace(changed=3.0))
    assert registry.snapshot().removed == {}

    registry.remove("old", Origin.API, at=4.0)
    registry.remove("new", Origin.API, at=5.0)
    registry.forget_removals(before=4.5)
    assert registry.snapshot().removed == {"new": 5.0}


def test_what_is_adopted_keeps_its_times() -> None:
    registry = Registry()
    registry.put(entry("web")._replace(created=1.0, changed=1.0))
    registry.adopt(entry("web")._replace(created=3.0, changed=4.0))
    adopted = registry.get("web")
    assert adopted
    assert (adopted.created, adopted.changed) == (3.0, 4.0)
    registry.put(entry("web", Origin.SWARM))
    with pytest.raises(OwnedElsewhere):
        registry.adopt(entry("web", path="/other")._replace(changed=5.0))
