from __future__ import annotations

import pytest

from flowproxy.services.store import Known


@pytest.mark.parametrize(
    ("confirmed", "stale"), [(1000.0, False), (401.0, False), (399.0, True), (1001.0, True), (None, True)]
)
def test_endpoints_are_stale_when_they_are_old_or_of_unknown_age(confirmed: float | None, stale: bool) -> None:
    assert Known({}, {}, confirmed).is_stale(now=1000, after_s=600) is stale
