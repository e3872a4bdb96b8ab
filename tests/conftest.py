"""For all tests: how long hypothesis looks, which tests run in one process, and what a failed test shows."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from controller import STARTED
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

SWARM = "tests/swarm/"

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the Swarm first: it takes longest."""
    items.sort(key=lambda item: SWARM not in item.nodeid)


class ByFile(LoadFileScheduling):
    """Keeps the tests of a file in one process, for they share controllers, and all that share the Swarm."""

    def _split_scope(self, nodeid: str) -> str:
        return SWARM if SWARM in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_runtest_setup() -> None:
    for controller in STARTED:
        controller.new_log()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what each controller has logged since the test began."""
    report = yield
    if report.failed:
        logs = {str(controller.folder): controller.new_log() for controller in STARTED}
        report.sections.extend((f"log of the controller in {folder}", log) for folder, log in logs.items() if log)
    return report
