"""Responses that are compressed."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse


def test_the_types_are_written_beside_the_algorithm() -> None:
    given = {"compressionAlgo": "gzip", "compressionType": "text/html application/json"}

    assert lines(given) == ["compression algo gzip", "compression type text/html application/json"]


def test_types_alone_have_no_effect() -> None:
    assert lines({"compressionType": "text/html"}) == []


@pytest.mark.parametrize("value", ["gzip;rm", "gzip\nretries 1", " ".join(["gzip"] * 11)])
def test_what_is_no_list_of_words_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="compressionAlgo"):
        parse({**PLAIN, "compressionAlgo": value})
