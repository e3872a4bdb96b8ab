"""Fixtures of the tests on a real Swarm: one for all of them, and what is put on it is taken off again."""

from collections.abc import Iterator

import pytest
from swarm import images, testbed
from swarm.testbed import Swarm


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    missing = testbed.missing_requirement()
    if missing is not None:
        pytest.skip(missing)
    with testbed.running_swarm() as swarm:
        yield swarm


@pytest.fixture(scope="session")
def base_image(swarm: Swarm) -> str:
    return images.load_base(swarm)


@pytest.fixture(scope="session")
def flowproxy_image(swarm: Swarm, base_image: str) -> str:
    return images.build_flowproxy(swarm)


@pytest.fixture(scope="session")
def origin_image(swarm: Swarm, base_image: str) -> str:
    return images.build_origin(swarm)


@pytest.fixture(scope="session")
def filter_image(swarm: Swarm, base_image: str) -> str:
    return images.build_filter(swarm)


@pytest.fixture(scope="module")
def clear_swarm(swarm: Swarm) -> Iterator[Swarm]:
    """The Swarm with nothing on it, and with nothing on it again after the module."""
    swarm.clear()
    yield swarm
    swarm.clear()
