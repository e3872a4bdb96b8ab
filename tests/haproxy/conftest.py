"""A real controller with a real HAProxy, and origins to route to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from behaviour import Proxy
from controller import Controller, Origin, Running, Tls, origins
from support import free_port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("haproxy"):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="haproxy is not installed: apt-get install haproxy"))


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    """A controller of the test's own, which the test starts."""
    controller = Controller(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    controller = Tls(tmp_path / "state")
    try:
        yield controller
    finally:
        controller.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running[Controller]]:
    def start(*arguments: str, **settings: str) -> Controller:
        return Controller(tmp_path_factory.mktemp("shared") / "state").start(*arguments, **settings)

    running = Running(start)
    yield running
    running.end()


@pytest.fixture
def running(shared: Running[Controller]) -> Iterator[Running[Controller]]:
    """Gives a controller that runs with given settings and has no services; the tests of a file share it."""
    yield shared
    shared.clear()


@pytest.fixture(scope="module")
def shared_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running[Tls]]:
    def begin(*names: str, **settings: str) -> Tls:
        return Tls(tmp_path_factory.mktemp("shared") / "state").begin(*names, **settings)

    running = Running(begin)
    yield running
    running.end()


@pytest.fixture
def running_tls(shared_tls: Running[Tls]) -> Iterator[Running[Tls]]:
    """Does the same with a port for TLS."""
    yield shared_tls
    shared_tls.clear()


@pytest.fixture
def origin() -> Iterator[Callable[[str], Origin]]:
    """Makes origins: each answers its name and the request's path; /wait answers when it is released."""
    with origins() as start:
        yield start


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Those of two origins, A and B, and another one for the proxy to listen on."""
    with origins() as start:
        yield {"A": start("A").port, "B": start("B").port, "other": free_port()}


@pytest.fixture
def proxy(running_tls: Running[Tls], ports: dict[str, int]) -> Proxy:
    """Has a certificate for a.org, and listens on three ports."""
    return Proxy(running_tls("a.org", BIND_PORTS=str(ports["other"]), RECONFIGURE_ATTEMPTS="1"), ports)
