from __future__ import annotations

import pytest

from flowproxy.sources.source import SourceStatus, State, StatusRecord


def test_a_source_says_since_when_it_is_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100, 200)).__next__
    monkeypatch.setattr("time.time", lambda: float(now()))
    record = StatusRecord("swarm")
    assert record.status == SourceStatus("swarm", State.WAITING, 100.0, None, None)

    record.succeeded()
    since = record.status.since
    record.succeeded()
    assert (record.status.state, record.status.since, record.status.error) == (State.OK, since, None)
    assert record.status.last_success is not None
    assert record.status.last_success > since

    assert record.failed("refused")
    assert not record.failed("refused again")
    assert (record.status.state, record.status.error) == (State.FAILING, "refused again")
    assert record.status.last_success is not None
