"""The actions on requests and responses that `safe` allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowproxy.text.safe_actions import OWN_VARIABLES
from flowproxy.text.safe_lines import check_lines


def test_variables_that_our_configuration_decides_by_cannot_be_set() -> None:
    templates = Path(__file__).parents[3] / "templates"
    texts = "".join(path.read_text() for path in templates.rglob("*.j2"))
    used = {name for name in re.findall(r"txn\.([A-Za-z0-9_.]+)", texts) if name}
    assert used >= {"route", "host", "key"}
    assert {name for name in used if not OWN_VARIABLES.fullmatch(name)} == set()


@pytest.mark.parametrize("method", ["dir", "dom", "len", "found"])
def test_headers_are_deleted_only_with_methods_that_haproxy_knows(method: str) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        check_lines(f"http-request del-header X-A -m {method}")


@pytest.mark.parametrize("status", ["100", "101", "199", "600"])
def test_a_status_is_final(status: str) -> None:
    for line in (f"http-response set-status {status}", f"http-request return status {status}"):
        with pytest.raises(ValueError, match="the status"):
            check_lines(line)
