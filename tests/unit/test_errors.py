from __future__ import annotations

import pytest

from flowproxy.errors import InvalidService, Problem, Rejected


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("port", "http", "must be a number"), "port: 'http': must be a number"),
        (Problem("port", "", "is missing"), "port: is missing"),
        (Problem("servicePath", "x", "'x' does not start with /"), "servicePath: 'x' does not start with /"),
        (Problem("users", "x" * 100, "is too long"), f"users: '{'x' * 80}': is too long"),
    ],
)
def test_a_problem_names_the_parameter_and_its_value_once(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_an_invalid_service_lists_all_problems() -> None:
    error = InvalidService("", (Problem("port", "", "is missing"), Problem("users", "", "are wrong")))

    assert str(error) == "service (no name): port: is missing; users: are wrong"


def test_a_rejection_may_name_services_and_lines() -> None:
    error = Rejected("unknown keyword", services=["web"], lines=["foo"])

    assert (str(error), error.services, error.lines) == ("unknown keyword", frozenset({"web"}), ("foo",))
