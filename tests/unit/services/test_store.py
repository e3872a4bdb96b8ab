from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowproxy.services.admission import ServiceRequest
from flowproxy.services.model import Endpoint
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.services.store import Known, Store


@pytest.mark.parametrize(
    ("confirmed", "stale"), [(1000.0, False), (401.0, False), (399.0, True), (1001.0, True), (None, True)]
)
def test_endpoints_are_stale_when_they_are_old_or_of_unknown_age(confirmed: float | None, stale: bool) -> None:
    assert Known({}, {}, confirmed).is_stale(now=1000, after_s=600) is stale


def entry(name: str = "web", origin: Origin = Origin.API, **more: Any) -> Entry:
    parameters = {"serviceName": name, "servicePath": f"/{name}", "port": "80"}
    return Entry(parse(parameters), origin, 1.5, parameters, **more)


def registered(*entries: Entry) -> Registry:
    registry = Registry()
    for one in entries:
        registry.put(one)
    return registry


def loaded(folder: Path, *, admit: bool = True) -> list[ServiceRequest]:
    found: list[ServiceRequest] = []

    def take(request: ServiceRequest) -> bool:
        found.append(request)
        return admit

    Store(folder).load(take)
    return found


def test_what_was_saved_is_loaded_as_it_was(tmp_path: Path) -> None:
    services = [entry("a_b", changed=2.5), entry("c", Origin.SWARM, stack="shop")]
    assert Store(tmp_path).save(registered(*services).snapshot()) == {}

    assert [request[:5] for request in loaded(tmp_path)] == [service[1:] for service in services]


def test_a_removed_service_is_removed_from_the_disk(tmp_path: Path) -> None:
    registry = registered(entry("a"), entry("b"))
    store = Store(tmp_path)
    store.save(registry.snapshot())
    registry.remove("a", Origin.API, at=9.0)
    store.save(registry.snapshot())

    assert [request.parameters["serviceName"] for request in loaded(tmp_path)] == ["b"]
    assert Store(tmp_path).load_removed() == {"a": 9.0}


def test_only_what_changed_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = registered(entry("a"), entry("b"))
    Store(tmp_path).save(registry.snapshot())
    store = Store(tmp_path)
    store.load(lambda request: True)
    written: list[str] = []
    monkeypatch.setattr("flowproxy.services.store.write_whole", lambda path, *_, **__: written.append(path.name))
    registry.put(entry("b", changed=7.0))
    store.save(registry.snapshot())

    assert [name for name in written if name != "endpoints.json"] == ["b.json"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"origin": "moon", "created": 1, "parameters": {}}', "\0"])
def test_a_file_that_cannot_be_read_is_left_and_put_aside_before_it_is_overwritten(
    content: str, tmp_path: Path
) -> None:
    file = tmp_path / "services" / "web.json"
    file.parent.mkdir()
    file.write_text(content)
    store = Store(tmp_path)
    store.load(lambda request: True)
    assert file.read_text() == content

    store.save(registered(entry()).snapshot())
    (aside,) = file.parent.glob("web.json.unreadable-*")
    assert aside.read_text() == content
    assert len(loaded(tmp_path)) == 1


def test_a_service_that_is_refused_is_left_as_it_is(tmp_path: Path) -> None:
    Store(tmp_path).save(registered(entry()).snapshot())
    store = Store(tmp_path)
    store.load(lambda request: False)
    store.save(Registry().snapshot())

    assert len(loaded(tmp_path)) == 1


def test_services_of_an_origin_that_is_left_out_are_removed_by_the_next_save(tmp_path: Path) -> None:
    Store(tmp_path).save(registered(entry("a"), entry("b", Origin.SWARM)).snapshot())
    registry, store = registered(entry("a")), Store(tmp_path)
    store.load(lambda request: True, without=(Origin.SWARM,))
    store.save(registry.snapshot())

    assert [request.parameters["serviceName"] for request in loaded(tmp_path)] == ["a"]


def test_endpoints_are_loaded_with_the_time_when_they_were_confirmed(tmp_path: Path) -> None:
    registry = Registry()
    registry.place("web", [Endpoint("web.1.x", "10.0.0.1")])
    registry.resolve("db", [Endpoint("db", "10.0.0.2")])
    registry.confirm(5.0)
    Store(tmp_path).save_endpoints(registry.snapshot())

    expected = Known({"web": (Endpoint("web.1.x", "10.0.0.1"),)}, {"db": (Endpoint("db", "10.0.0.2"),)}, 5.0)
    assert Store(tmp_path).load_endpoints() == expected


@pytest.mark.parametrize("content", ["{", "[]", '{"tasks": {"web": [[1]]}, "addresses": {}}'])
def test_endpoints_that_cannot_be_read_are_not_known(content: str, tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(content)

    assert Store(tmp_path).load_endpoints() == Known({}, {}, None)


def test_a_disk_that_cannot_be_written_is_said_of_each_service_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    registry, store = registered(entry("a"), entry("b")), Store(tmp_path)
    with monkeypatch.context() as full:
        full.setattr("flowproxy.services.store.write_whole", refuse)
        unsaved = store.save(registry.snapshot())
    assert unsaved.keys() == {"a", "b"}
    assert "No space left on device" in unsaved["a"]

    assert store.save(registry.snapshot()) == {}
    assert len(loaded(tmp_path)) == 2


def test_threads_that_save_at_once_leave_what_is_newest(tmp_path: Path) -> None:
    """Two loops save, each a snapshot that it took before it got its turn."""
    registry, store = Registry(), Store(tmp_path)
    snapshots = []
    for number in range(40):
        registry.place("web", [Endpoint("web.1.x", f"10.0.0.{number}")])
        registry.put(entry("web", changed=float(number)))
        snapshots.append(registry.snapshot())
    newest = snapshots[-1]

    with ThreadPoolExecutor(8) as threads:
        for snapshot in random.Random(7).sample(snapshots, len(snapshots)):  # noqa: S311 - an order, no secret
            threads.submit(store.save, snapshot)
            threads.submit(store.save_endpoints, snapshot)

    assert Store(tmp_path).load_endpoints().tasks == newest.tasks
    assert [request.changed for request in loaded(tmp_path)] == [39.0]
