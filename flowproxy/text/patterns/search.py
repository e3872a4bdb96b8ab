"""Evaluation of a pattern in linear time."""

from __future__ import annotations

from functools import lru_cache

import re2


def is_found(pattern: str, text: str, *, ignoring_case: bool = False) -> bool | None:
    """Return whether a pattern occurs in a text; None if only HAProxy's engine can evaluate the pattern."""
    expression = _expression(pattern, ignoring_case)
    return None if expression is None else expression.search(text.encode(errors="replace")) is not None


@lru_cache(maxsize=4096)
def _expression(pattern: str, ignoring_case: bool) -> re2._Regexp | None:
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = not ignoring_case
    try:
        return re2.compile(pattern.encode(errors="replace"), options)
    except re2.error:
        return None
