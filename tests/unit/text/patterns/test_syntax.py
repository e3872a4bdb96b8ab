"""The tree of a pattern."""

from __future__ import annotations

import pytest

from flowproxy.text.patterns.characters import ANY, in_any_case, set_of
from flowproxy.text.patterns.syntax import (
    EMPTY,
    Assertion,
    Characters,
    Choice,
    Look,
    Node,
    Repeat,
    Sequence,
    is_anchored,
    parse,
)

A, B = (Characters(in_any_case(set_of(letter))) for letter in (b"a", b"b"))


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("", EMPTY),
        ("a", A),
        (".", Characters(ANY)),
        ("ab", Sequence((A, B))),
        ("a|b", Choice((A, B))),
        ("a*", Repeat(A, 0, None)),
        ("a+?", Repeat(A, 1, None)),
        ("a{2,4}", Repeat(A, 2, 4)),
        ("a{2}", Repeat(A, 2, 2)),
        ("a{2,}", Repeat(A, 2, None)),
        ("^a$", Sequence((Assertion(is_start=True), A, Assertion(is_start=False)))),
        ("a.*$", Sequence((A, Repeat(Characters(ANY), 0, None)))),
        ("(?=a)", Look(A)),
        ("(?:a)", A),
        ("(a)", Sequence((A,))),
        ("(?i)a", Sequence((EMPTY, A))),
    ],
)
def test_a_pattern_has_one_tree(pattern: str, root: Node) -> None:
    assert parse(pattern).root == root


def test_groups_are_counted() -> None:
    assert parse("(a)(?:b)(?i)(?=c)").groups == 4


@pytest.mark.parametrize(
    ("pattern", "expected"), [("^a", True), (".*a", True), ("^a|^b", True), ("a", False), ("^a|b", False)]
)
def test_a_pattern_may_match_only_at_the_start(pattern: str, expected: bool) -> None:
    assert is_anchored(parse(pattern).root) == expected
