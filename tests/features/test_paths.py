"""Paths that are rewritten before the service sees them."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


def test_each_pair_replaces_the_first_match() -> None:
    first, second = lines({"reqPathSearchReplace": "^/shop/,/:it's,x"})

    assert first.startswith("http-request set-path \"%[path,regsub('^/shop/','/')]\" if { path -m len 0:")
    assert "regsub('it'\\\\''s','x')" in second


def test_the_old_pair_comes_first() -> None:
    service = parse({**PLAIN, "reqPathSearch": "/a", "reqPathReplace": "/b", "reqPathSearchReplace": "/c,/d"})

    assert service.destinations[0].req_path_search_replace == (("/a", "/b"), ("/c", "/d"))


@pytest.mark.parametrize("value", ["/a", ",/b", "/a\n,/b", "(a+)+$,/b"])
def test_what_is_no_pair_or_takes_too_long_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="reqPathSearchReplace"):
        parse({**PLAIN, "reqPathSearchReplace": value})
