from __future__ import annotations

from typing import Any

import pytest

from flowproxy.errors import ListenerFailed
from flowproxy.features import Defaults
from flowproxy.services.admission import Admission, Rules
from flowproxy.services.registry import Origin, Registry
from flowproxy.settings.model import Settings
from flowproxy.sources.listener import Listeners
from flowproxy.sources.source import State

WEB = {"serviceName": "web", "servicePath": "/", "port": "80", "distribute": "true", "replicas": "1"}


def listeners(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[Any]], **settings: Any) -> Listeners:
    """Listeners whose answers are these, by address; the last one is repeated."""

    async def ask(_: object, address: str, call: str) -> object:
        given = answers[address]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Listeners, "_ask", staticmethod(ask))
    door = Admission(Registry(), Rules(dict.fromkeys(Origin, Defaults()), Defaults()))
    given = Settings(listener_address=",".join(answers), reload_interval="1", **settings)
    return Listeners(given, door)


async def test_without_an_address_the_source_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    source = listeners(monkeypatch, {})
    await source.run()

    assert source.status.state == State.OFF
    assert source.heard


async def test_services_are_taken_once_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    source = listeners(
        monkeypatch, {"a": [ListenerFailed("a: refused"), [WEB, WEB | {"serviceName": "bad", "port": "x"}]]}
    )
    assert source.status.state == State.WAITING
    await source.run()

    snapshot = source._admission.registry.snapshot()
    assert snapshot.entries.keys() == {"web"}
    assert snapshot.invalid.keys() == {"bad"}
    assert (source.heard, source.status.state) == (True, State.OK)


@pytest.mark.parametrize("answer", [{"not": "a list"}, [1], [{"port": 80}], None])
async def test_an_answer_that_is_none_is_a_failure(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    source = listeners(monkeypatch, {"a": [answer], "b": [answer]}, reload_attempts="2")
    await source.run()

    assert source.status.state == State.FAILING
    assert "is not a list of services" in (source.status.error or "")
    assert not source.heard
    assert source._admission.registry.snapshot().entries == {}
