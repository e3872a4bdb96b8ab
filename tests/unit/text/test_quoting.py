from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowproxy.text.quoting import cli_word, comment, word

PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]))


@given(PRINTABLE)
def test_a_quoted_word_is_one_word_and_reads_back_as_itself(text: str) -> None:
    # HAProxy's strong and weak quotes are the shell's, as far as word() uses them.
    assert shlex.split(word(text)) == [text]


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "\x1b[0m"])
def test_a_control_character_cannot_be_written(text: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        word(text)


@pytest.mark.parametrize("text", ["${PATH}", "a b", "#", 'say "hi"', "it's", "a\\b", ""])
def test_words_that_haproxy_would_read_otherwise_are_quoted(text: str) -> None:
    assert word(text).startswith("'")


def test_a_plain_word_stays_plain() -> None:
    assert word("web-be8080_0") == "web-be8080_0"


def test_a_comment_stays_on_its_line() -> None:
    assert comment("web\nhttp-request deny") == "web http-request deny"


def test_special_characters_of_runtime_commands_are_escaped() -> None:
    assert cli_word("/a;b c\\") == "/a\\;b\\ c\\\\"
