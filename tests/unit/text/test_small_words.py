"""Text to boolean, the nearest name, control characters."""

from __future__ import annotations

import pytest

from flowproxy.text.booleans import boolean, is_false, is_true
from flowproxy.text.control_characters import holds_control_character, without_control_characters
from flowproxy.text.nearest import nearest


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True", "on"])
def test_what_is_true(text: str) -> None:
    assert boolean(text)
    assert is_true(text)
    assert not is_false(text)


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False", "off", ""])
def test_what_is_false(text: str) -> None:
    assert not boolean(text)
    assert not is_true(text)
    assert is_false(text)


@pytest.mark.parametrize("text", ["yes", "perhaps", "2", " true", "tRuE", "ON"])
def test_a_word_that_is_neither_is_no_boolean(text: str) -> None:
    with pytest.raises(ValueError, match="must be true or false"):
        boolean(text)
    assert is_true(text) == (text in ("tRuE", "ON"))
    assert not is_false(text)


def test_the_nearest_name_is_like_enough_or_none() -> None:
    assert nearest("servicePth", ["serviceName", "servicePath"], 0.8) == "servicePath"
    assert nearest("port", ["serviceName"], 0.8) is None
    assert nearest("port", [], 0.8) is None


@pytest.mark.parametrize(
    ("text", "holds"), [("a b", False), ("ä", False), ("a\nb", True), ("\x00", True), ("\x7f", True)]
)
def test_control_characters_are_found(text: str, holds: bool) -> None:
    assert holds_control_character(text) is holds
    assert not holds_control_character(without_control_characters(text))
