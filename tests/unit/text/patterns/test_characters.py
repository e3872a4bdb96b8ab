"""Sets of characters, and what they are written as."""

from __future__ import annotations

import re

import pytest

from flowproxy.text.patterns.characters import ANY, in_any_case, read_brackets, read_escape, set_of
from flowproxy.text.patterns.source import Source


@pytest.mark.parametrize(
    "brackets",
    ["[abc]", "[a-f]", "[^a-f]", "[]a]", "[^]a]", "[a-]", r"[\d_]", r"[\]a]", r"[\x41-\x43]", "[[:digit:]a]"],
)
def test_brackets_are_the_characters_that_they_match(brackets: str) -> None:
    expression = re.compile(brackets.replace("[:digit:]", "0-9"), re.ASCII)
    expected = set_of(code for code in range(256) if expression.fullmatch(chr(code)))

    assert read_brackets(Source(brackets[1:])) == expected


@pytest.mark.parametrize("brackets", ["", "a", "a-", "\\", "^"])
def test_brackets_must_be_closed(brackets: str) -> None:
    with pytest.raises(ValueError, match=re.escape("has a [ without its ]")):
        read_brackets(Source(brackets))


@pytest.mark.parametrize(
    ("escape", "codes"), [("d", b"0123456789"), ("t", b"\t"), ("x41", b"A"), ("x{42}", b"B"), (".", b".")]
)
def test_an_escape_is_a_set(escape: str, codes: bytes) -> None:
    assert read_escape(Source(escape)) == set_of(codes)


@pytest.mark.parametrize("escape", ["1", "k", "Q", "p"])
def test_an_escape_whose_work_is_not_known_is_refused(escape: str) -> None:
    with pytest.raises(ValueError, match="cannot be taken because its work cannot be bounded"):
        read_escape(Source(escape))


def test_letters_stand_for_both_cases() -> None:
    assert in_any_case(set_of(b"aB1")) == set_of(b"aAbB1")
    assert in_any_case(ANY) == ANY
