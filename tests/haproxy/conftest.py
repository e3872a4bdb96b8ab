"""A real controller with a real HAProxy, and origins to route to."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from controller import Controller, Origin, Tls, origins


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("haproxy"):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="haproxy is not installed: apt-get install haproxy"))


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace") if controller.log.exists() else "")


@pytest.fixture
def origin() -> Iterator[Callable[[str], Origin]]:
    """Makes origins: each answers its name and the request's path; /wait answers when it is released."""
    with origins() as start:
        yield start


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    controller = Tls(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()
