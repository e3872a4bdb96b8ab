"""The directives that `safe` allows."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from raw_lines import ALLOWED, REFUSED

from flowproxy.errors import Untrusted
from flowproxy.features import Defaults
from flowproxy.services.parse import parse
from flowproxy.text.lines import texts_of
from flowproxy.text.safe_lines import check_lines

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
LISTS = Defaults(separator="|")


@pytest.mark.parametrize("line", ALLOWED)
def test_safe_allows(line: str) -> None:
    check_lines(line)


@pytest.mark.parametrize("line", REFUSED)
def test_safe_refuses_other_lines_with_the_reason(line: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        check_lines(line)
    message = str(refused.value)
    assert "FLOWPROXY_RAW_CONFIG=all" in message or "quote" in message or "\\x00" in message
    assert "/etc/passwd" not in message


def test_safe_is_bounded_in_lines_and_characters() -> None:
    check_lines("retries 1\n" * 100)
    with pytest.raises(ValueError, match="101 lines"):
        check_lines("retries 1\n" * 101)
    with pytest.raises(ValueError, match="9000 characters"):
        check_lines("#" * 9000)


DANGEROUS = re.compile(
    r"(?<![\w.-])(?:map(?:_\w+)?|env|lua\.\w+|table_\w+|set-map|del-map|add-acl|del-acl)\("
    r"|^\s*(?:stats|server|use-server|log|filter|errorfile|bind|source|dispatch)\b"
)
PIECES = (
    "http-request http-response set-header add-header return deny status 200 file lf-file errorfile string X-A if"
    " unless { } ! || -f -i -m -M -- str reg path /etc/passwd %[path] %[str(a) ,map(/etc/passwd) map( env(HOME)"
    " %[env(HOME)] ] ) ( , lower server stats acl a balance hash set-var(txn.a) set-var(txn.route) ' \" \\ \\x2d"
    " \\x6dap( f # % use-service lua.x option timeout".split()
)
FILES = frozenset(["-f", "-M", "file", "lf-file", "errorfile", "errorfiles", "use-service"])


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " "]))), st.sampled_from(ALLOWED))
@example([("http-request set-header X", " "), ("%[str(a),map(/etc/passwd)]", "")], "")
def test_no_line_that_safe_accepts_reads_anything_but_the_request(
    pieces: list[tuple[str, str]], beginning: str
) -> None:
    for line in ("".join(map("".join, pieces)), f"{beginning} {''.join(map(''.join, pieces))}"):
        try:
            check_lines(line)
        except ValueError:
            continue
        words = texts_of(line)
        assert not (words and DANGEROUS.search(words[0]))
        actions = {"set-header", "add-header", "replace-header", "string", "--", "status", "content-type", "hdr"}
        for number, word in enumerate(words):
            # A word may be the literal value of a header, of a body or of a comparison, or the name of an acl.
            before = words[:number]
            named = {"if", "unless"}.intersection(before) and before.count("{") == before.count("}")
            literal = actions.intersection(before) or "}" in words[number:] or words[0] in ("acl", "option") or named
            assert word not in FILES or literal, line
            is_format = words[0] != "acl"  # what an acl compares with is text
            assert not (is_format and re.search(r"%\{?[^%]*\[[^\]'\"]*(?:,map\(|env\()", word)), line


def test_a_refusal_names_the_directive_and_what_is_allowed() -> None:
    with pytest.raises(Untrusted) as refused:
        parse(WEB | {"backendExtra": "balance leastconn\nstats admin if TRUE"}, LISTS._replace(raw="safe"))
    assert "`stats` needs FLOWPROXY_RAW_CONFIG=all; `safe` allows acl, balance" in str(refused.value)
