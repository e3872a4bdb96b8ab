"""The files that HAProxy reads, on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.state_folder import StateFolder


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write({"maps/any.map": b"1", "haproxy.cfg": b"1"})
    (tmp_path / "maps" / "any.map").write_bytes(b"by hand")
    folder.write({"maps/any.map": b"1", "haproxy.cfg": b"2"})

    assert folder.read(["maps/any.map", "haproxy.cfg", "missing"]) == {"maps/any.map": b"by hand", "haproxy.cfg": b"2"}
    folder.trust_only({})
    folder.write({"maps/any.map": b"1"})
    assert folder.read(["maps/any.map"]) == {"maps/any.map": b"1"}


def test_what_cannot_be_kept_is_said_until_it_can(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    (tmp_path / "maps").write_text("a file where a folder should be")
    folder.keep({"maps/any.map": b"1"})
    assert folder.unwritten == f"{tmp_path} cannot be written: File exists"

    (tmp_path / "maps").unlink()
    folder.keep({"maps/any.map": b"1"})
    assert folder.unwritten is None


def test_a_candidate_names_its_own_list_of_certificates(tmp_path: Path) -> None:
    line = f"bind :443 ssl crt-list {tmp_path}/crt-list.txt"
    candidate = StateFolder(tmp_path).write_candidate({"haproxy.cfg": line.encode(), "maps/any.map": b"/ a\n"})

    assert candidate.parent == tmp_path
    assert (candidate / "haproxy.cfg").read_text() == f"bind :443 ssl crt-list {candidate}/crt-list.txt"
    assert (candidate / "maps" / "any.map").read_bytes() == b"/ a\n"


def test_lists_that_no_rule_names_any_more_are_deleted(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write({"lists/a.lst": b"1", "lists/b.lst": b"2"})
    folder.forget_lists({"lists/b.lst": b"2"})

    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["b.lst"]


def test_a_folder_is_one_controllers(tmp_path: Path) -> None:
    first = StateFolder(tmp_path / "state")
    first.claim()
    (tmp_path / "state" / "candidate-left").mkdir()
    with pytest.raises(ProxyUnavailable, match="another controller works in"):
        StateFolder(tmp_path / "state").claim()

    first.release()
    second = StateFolder(tmp_path / "state")
    second.claim()
    second.release()
    assert not (tmp_path / "state" / "candidate-left").exists()
