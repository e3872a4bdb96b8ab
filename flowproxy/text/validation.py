"""The errors of pydantic in words for users who do not know pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By pydantic's name of the mistake; what it knows of the rule fills the braces.
_RULES = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number, and is too large",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "missing": "is missing",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the regular expression {pattern}",
    "too_short": "has {actual_length} values; at least {min_length} are needed",
    "too_long": "has {actual_length} values; at most {max_length} are accepted",
    "extra_forbidden": "is unknown",
}


def rule_of(mistake: Mapping[str, Any]) -> str:
    """Return the rule that a value breaks, as it stands behind the name and the value.

    Args:
        mistake: one of `ValidationError.errors()`.
    """
    rule = _RULES.get(mistake["type"])
    if rule is None:  # one of ours, which says in its own words what is wrong
        return str(mistake["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return rule.format_map(mistake.get("ctx", {}))
