"""For all tests: how long hypothesis looks, which tests run in one process, and what a failed test shows."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from controller import STARTED
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, for they share controllers, and all that share the Swarm.

    The Swarm comes first: it takes longest.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group("swarm" if _needs_swarm(item) else item.path.stem))
    items.sort(key=lambda item: not _needs_swarm(item))


def _needs_swarm(item: pytest.Item) -> bool:
    return "swarm" in item.path.parent.parts


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
