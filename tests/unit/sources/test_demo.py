from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from flowproxy.services.admission import Admission, Rules
from flowproxy.services.registry import Origin, Registry
from flowproxy.settings.model import Settings
from flowproxy.sources.demo import Demo
from flowproxy.sources.source import State


@pytest.mark.parametrize(
    "settings",
    [{}, {"default_req_mode": "tcp"}, {"filter_proxy_instance_name": "true", "proxy_instance_name": "inner"}],
)
async def test_its_service_is_routed_whatever_the_settings_say_of_others(settings: dict[str, Any]) -> None:
    given = Settings(**settings)
    registry = Registry()
    rules = Rules(dict.fromkeys(Origin, given.defaults), given.defaults_for_calls, given.takes)
    demo = Demo(Admission(registry, rules), given.proxy_instance_name)
    await demo.run()
    (entry,) = registry.snapshot().entries.values()
    port = entry.service.destinations[0].port
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/demo/hello") as answer:
        text = await answer.text()
    await demo.close()

    assert "hello, world!" in text
    assert entry.origin == Origin.ENVIRONMENT
    assert demo.status.state == State.OK
