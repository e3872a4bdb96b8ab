from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flowproxy.control.saved_state import SavedState
from flowproxy.errors import ProxyUnavailable
from flowproxy.features import Defaults
from flowproxy.services.admission import Admission, Rules, ServiceRequest
from flowproxy.services.model import Endpoint
from flowproxy.services.registry import Origin, Registry
from flowproxy.services.store import Store

HERE = (Endpoint("web.1.x", "10.0.0.1"),)


def admission() -> Admission:
    return Admission(Registry(), Rules(dict.fromkeys(Origin, Defaults()), Defaults()))


def saved(folder: Path, confirmed: float | None) -> None:
    door = admission()
    for origin in (Origin.SWARM, Origin.API):
        door.admit_listed(
            ServiceRequest(origin, 1.0, {"serviceName": f"by-{origin}", "servicePath": f"/{origin}", "port": "80"})
        )
    door.registry.place("by-swarm", HERE)
    door.registry.resolve("by-api", HERE)
    door.registry.note_removal("gone", 5.0)
    door.registry.confirm(confirmed)
    Store(folder).save(door.registry.snapshot())


def restored(folder: Path, *, with_swarm: bool = True, adopted: bool = False) -> tuple[SavedState, Registry]:
    door = admission()
    state = SavedState(Store(folder), door, 600, with_swarm=with_swarm)
    state.restore(adopted=adopted)
    return state, door.registry


@pytest.mark.parametrize(
    ("age_s", "adopted", "used"), [(10, False, True), (700, False, False), (700, True, True), (-50, False, False)]
)
def test_saved_endpoints_are_used_while_they_are_fresh_or_served_already(
    age_s: float, adopted: bool, used: bool, tmp_path: Path
) -> None:
    saved(tmp_path, time.time() - age_s)
    _, registry = restored(tmp_path, adopted=adopted)
    snapshot = registry.snapshot()

    assert snapshot.entries.keys() == {"by-swarm", "by-api"}
    assert snapshot.removed == {"gone": 5.0}
    assert snapshot.tasks == ({"by-swarm": HERE} if used else {})
    assert snapshot.addresses == ({"by-api": HERE} if used else {})


def test_without_a_swarm_its_services_and_tasks_are_left_out(tmp_path: Path) -> None:
    saved(tmp_path, None)
    _, registry = restored(tmp_path, with_swarm=False)
    snapshot = registry.snapshot()

    assert snapshot.entries.keys() == {"by-api"}
    assert (snapshot.tasks, snapshot.addresses) == ({}, {"by-api": HERE})


class Reconciler:
    outcome = SimpleNamespace(configuration=None)

    async def live(self, generation: int, name: str) -> None:
        raise ProxyUnavailable("refused")


class Proxy:
    started = 0

    async def start_as_before(self) -> None:
        self.started += 1


@pytest.mark.parametrize(("moved", "started"), [(False, 1), (True, 0)])
async def test_the_last_good_configuration_serves_only_where_its_servers_are_where_they_were(
    moved: bool, started: int, tmp_path: Path
) -> None:
    saved(tmp_path, time.time())
    state, registry = restored(tmp_path)
    if moved:
        registry.place("by-swarm", [Endpoint("web.1.y", "10.0.0.2")])
    proxy = Proxy()
    await state.fall_back(cast(Any, Reconciler()), cast(Any, proxy))

    assert proxy.started == started
