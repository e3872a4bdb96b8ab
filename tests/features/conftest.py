"""One real controller with a real HAProxy for each file, and an origin that says what it was asked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator

import pytest
from controller import Answer, Controller, origins

Web = Callable[..., Answer]


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    if not shutil.which("haproxy"):
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    controller = Controller(tmp_path_factory.mktemp("features") / "state")
    try:
        # Nothing is tidied away, so that every reload is one that a change needed.
        yield controller.start(FLOWPROXY_TIDY_AFTER="3600")
    finally:
        controller.end()
        sys.stdout.write(controller.log.read_text(errors="replace"))


@pytest.fixture(scope="module")
def web(controller: Controller) -> Iterator[Web]:
    """Registers a service by its name; its path is the name by default."""
    with origins() as start:
        port = str(start("origin").port)

        def put(name: str, **parameters: str) -> Answer:
            given = {"servicePath": f"/{name}", "port": port, "outboundHostname": "127.0.0.1", **parameters}
            answer = controller.reconfigure(name, **given)
            assert answer.status == 200, answer.text
            return answer

        yield put
