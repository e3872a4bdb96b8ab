from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.settings.model import Settings


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder of secrets; no variable of ours is set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"FLOWPROXY_{name.upper()}", raising=False)
    monkeypatch.setenv("FLOWPROXY_SECRETS", str(tmp_path))
    return tmp_path
