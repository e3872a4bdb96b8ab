from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy import privileges


@pytest.mark.parametrize(("files", "connections"), [(16, 50), (80_000, 10_000)])
def test_a_service_may_have_a_quarter_of_the_connections_and_at_least_a_few(
    files: int, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))

    assert privileges.quarter_of_connections() == connections


def test_workers_get_an_empty_root_only_where_they_may_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "_may_chroot", lambda: False)
    assert privileges.empty_root(tmp_path) is None
    monkeypatch.setattr(privileges, "_may_chroot", lambda: True)
    folder = privileges.empty_root(tmp_path)
    assert folder == tmp_path.resolve() / "empty"
    assert list(folder.iterdir()) == []


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_may_chroot", lambda: True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ProxyUnavailable, match="FLOWPROXY_STATE_DIR"):
        privileges.empty_root(tmp_path / "file")


def test_only_roots_workers_become_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert privileges.unprivileged_user() is None
