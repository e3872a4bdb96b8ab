"""Which lines of a rendered text are whose."""

from __future__ import annotations

import pytest

from flowproxy.rendering.parts import Part, Text, joined, owned, without_marks


def test_marks_become_parts() -> None:
    marked = "a\n" + owned("one", lambda: "b\nc\n") + "d\n" + owned("two", lambda: "e\n")

    assert without_marks(marked) == Text("a\nb\nc\nd\ne\n", (Part(2, 3, "one"), Part(5, 5, "two")))
    assert without_marks("plain\n") == Text("plain\n")


def test_what_a_service_writes_holds_no_mark() -> None:
    with pytest.raises(ValueError, match="service evil holds a control character"):
        owned("evil", lambda: "\x02victim\nnonsense\n\x03\n")


def test_parts_move_with_what_stands_above() -> None:
    whole = joined([Text("a\nb", (Part(2, 2, "one"),)), Text("c\n", (Part(1, 1, "two"),)), Text("")])

    assert whole.text == "a\nb\nc\n\n"
    assert [whole.service_at(line) for line in range(1, 6)] == ["", "one", "two", "", ""]
