"""Expressions, formats, conditions and patterns that `safe` allows."""

from __future__ import annotations

import re

import pytest

from flowproxy.errors import Untrusted
from flowproxy.features import Defaults
from flowproxy.services.parse import parse
from flowproxy.text.expressions import (
    Cursor,
    check_acl,
    check_condition,
    check_expression,
    check_format,
    check_pattern,
    pattern_budget,
    shown_name,
)
from flowproxy.text.safe_lines import check_lines


@pytest.mark.parametrize("pattern", ["^/(a+)+b$", "a.*b.*c", "a.*b"])
def test_safe_refuses_patterns_that_take_long(pattern: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        check_lines(f"http-request set-path /x if {{ path_reg '{pattern}' }}")


def test_the_patterns_of_a_service_share_a_budget() -> None:
    line = "http-request set-path /x if { path_reg 'abcdefghijklmnopqrstuvwxyz' }"
    given = {"serviceName": "web", "servicePath": "/", "port": "80"}
    parse({**given, "backendExtra": line}, Defaults(raw="safe"))
    with pytest.raises(Untrusted, match="altogether"):
        parse({**given, "backendExtra": "\n".join([line] * 90)}, Defaults(raw="safe"))


@pytest.mark.parametrize(
    "text", ["path", "req.hdr(host),lower", "path,regsub(^/a,/b)", "str('a,b'),length", "var(txn.a)"]
)
def test_an_expression_reads_the_request(text: str) -> None:
    assert check_expression(text) == text.partition("(")[0].partition(",")[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("env(HOME)", "the fetch `env` is not allowed"),
        ("path,map(/a)", "the converter `map` is not allowed"),
        ("var(proc.a)", "a variable has the scope txn, req or res"),
        ("nbsrv(other)", "without a name"),
        ("path)", "goes on where it should end"),
        ("", "not allowed"),
    ],
)
def test_an_expression_reads_nothing_else(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        check_expression(text)


def test_a_format_holds_text_and_expressions() -> None:
    check_format("plain %% %[path,lower] %{+Q}ci")
    for wrong in ("50%", "%[path", "%[env(HOME)]", "%secret"):
        with pytest.raises(ValueError, match=r"percent|goes on|not allowed"):
            check_format(wrong)


def test_a_condition_is_made_of_acls_and_comparisons() -> None:
    check_condition("a !b || { path -m beg /x }".split())
    check_acl(["path", "-i", "--", "-f"])
    for words in ([], ["{", "path"], ["a;b"], ["{", "path", "-f", "/a", "}"]):
        with pytest.raises(ValueError, match=r"condition|flags"):
            check_condition(words)


def test_patterns_share_a_budget_only_inside_its_block() -> None:
    pattern = "abcdefghijklmnopqrstuvwxyz"
    with pattern_budget():
        accepted = 0
        with pytest.raises(ValueError, match="altogether"):  # noqa: PT012 - which pattern is one too many is not the point
            while accepted < 100:
                check_pattern(pattern)
                accepted += 1
    assert accepted > 0
    check_pattern(pattern)


def test_words_are_taken_one_by_one() -> None:
    cursor = Cursor(["a", "b", "c"])

    assert cursor.take("x") is None
    assert cursor.take("a", "b") == "a"
    assert cursor.next("the second") == "b"
    with pytest.raises(ValueError, match="more words"):
        cursor.end()
    assert cursor.rest() == ["c"]
    cursor.end()
    with pytest.raises(ValueError, match="the name is missing"):
        cursor.next("the name")


def test_an_error_shows_names_and_no_values() -> None:
    assert shown_name("set-header") == "set-header"
    assert shown_name("pass:word") == "…"
