"""Reading the text of a pattern."""

from __future__ import annotations

import re

from flowproxy.text.patterns.source import Source


def test_a_pattern_is_read_from_its_beginning_to_its_end() -> None:
    source = Source("ab12c")

    assert source.peek() == source.read() == "a"
    assert not source.next_is("c")
    assert source.next_is("b")
    found = source.take(re.compile(r"\d+"))
    assert found
    assert found[0] == "12"
    assert source.match(re.compile(r"\d")) is None
    source.skip()
    assert source.is_at_end


def test_a_character_beyond_ascii_is_read_as_its_bytes() -> None:
    source = Source("é")

    assert (source.read() + source.read()).encode("latin-1") == "é".encode()
    assert source.is_at_end


def test_a_refusal_quotes_the_pattern() -> None:
    assert str(Source("a(").refusal("has a ( without its )")) == "'a(' has a ( without its )"
