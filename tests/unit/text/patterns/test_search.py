"""Evaluation of patterns in linear time."""

from __future__ import annotations

from flowproxy.text.patterns.search import is_found


def test_patterns_that_only_haproxy_can_evaluate_are_not_evaluated() -> None:
    assert is_found("^/(?!api)", "/web") is None
    assert is_found("^/[A-Z]", "/web", ignoring_case=True) is True
    assert is_found("^/[A-Z]", "/web") is False
