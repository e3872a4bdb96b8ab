"""What `safe` allows of HAProxy's actions: those of http-request, http-response and http-after-response."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from flowproxy.text.expressions import (
    VARIABLE,
    Cursor,
    check_expression,
    check_format,
    check_pattern,
    matching,
    shown_name,
    word_of,
)
from flowproxy.text.framing_headers import require_no_framing

# Checks the words after a directive or an action, and raises ValueError for what is not allowed.
Check: TypeAlias = Callable[[Cursor], None]

HEADER_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z_-]+")
_STATUS = re.compile(r"[2-5][0-9]{2}")  # a 1xx is not a final answer
_REDIRECTS = frozenset("301 302 303 307 308".split())
_DELETED_BY = frozenset("str beg end sub reg".split())

# Variables of the scope txn that our own configuration uses.
OWN_VARIABLES = re.compile(
    r"(?:route|host|conditional|default|exact|pattern|any|wildcard\d*|key\d*|odd|hop|scheme|normal|peer"
    r"|flowproxy[\w.]*)",
    re.IGNORECASE,
)


def check_header_name(cursor: Cursor) -> None:
    """Check the name of a header that is written. Raises ValueError."""
    require_no_framing(matching(HEADER_NAME, cursor.next("the name of the header"), "the name of the header"))


def _name_and_format(cursor: Cursor) -> None:
    check_header_name(cursor)
    check_format(cursor.next("the value of the header"))
    cursor.condition()


def _name_alone(cursor: Cursor) -> None:
    name = matching(HEADER_NAME, cursor.next("the name of the header"), "the name of the header")
    method = word_of(_DELETED_BY, cursor.next("a matching method")) if cursor.take("-m") else "str"
    require_no_framing(name, method)
    cursor.condition()


def _replaced_header(cursor: Cursor) -> None:
    check_header_name(cursor)
    _pattern_and_format(cursor)


def _pattern_and_format(cursor: Cursor) -> None:
    check_pattern(cursor.next("a regular expression"))
    check_format(cursor.next("what replaces it"))
    cursor.condition()


def _format_alone(cursor: Cursor) -> None:
    check_format(cursor.next("a value"))
    cursor.condition()


def _answer(cursor: Cursor) -> None:
    """Check a status, and a body that is written in the line."""
    while option := cursor.take(
        "status", "deny_status", "content-type", "string", "lf-string", "hdr", "default-errorfiles"
    ):
        if option in ("status", "deny_status"):
            matching(_STATUS, cursor.next("a status"), "the status")
        elif option in ("content-type", "string"):
            cursor.next(f"the value of {option}")
        elif option == "lf-string":
            check_format(cursor.next("the value of lf-string"))
        elif option == "hdr":
            check_header_name(cursor)
            check_format(cursor.next("the value of the header"))
    cursor.condition()


def check_redirect(cursor: Cursor) -> None:
    """Check the words after redirect. Raises ValueError."""
    if cursor.take("location", "prefix", "scheme") is None:
        raise ValueError("location, prefix or scheme is missing")
    check_format(cursor.next("where to redirect to"))
    while option := cursor.take("code", "drop-query", "append-slash", "ignore-empty", "set-cookie", "clear-cookie"):
        if option == "code":
            word_of(_REDIRECTS, cursor.next("a status"))
        elif option in ("set-cookie", "clear-cookie"):
            cursor.next("a cookie")
    cursor.condition()


def _status(cursor: Cursor) -> None:
    matching(_STATUS, cursor.next("a status"), "the status")
    if cursor.take("reason"):
        cursor.next("a reason")
    cursor.condition()


def _condition_alone(cursor: Cursor) -> None:
    cursor.condition()


def _set_variable(cursor: Cursor) -> None:
    check_expression(cursor.next("an expression"))
    cursor.condition()


_SETTING = re.compile(r"(?P<action>set-var|set-var-fmt|unset-var)\((?P<variable>[^(),]*)\)")
_SETTING_ACTIONS: Mapping[str, Check] = {
    "set-var": _set_variable,
    "set-var-fmt": _format_alone,
    "unset-var": _condition_alone,
}
HEADER_ACTIONS: Mapping[str, Check] = {
    "add-header": _name_and_format,
    "set-header": _name_and_format,
    "del-header": _name_alone,
    "replace-header": _replaced_header,
    "replace-value": _replaced_header,
}
REQUEST_ACTIONS: Mapping[str, Check] = {
    **HEADER_ACTIONS,
    "set-path": _format_alone,
    "set-pathq": _format_alone,
    "set-query": _format_alone,
    "replace-path": _pattern_and_format,
    "replace-pathq": _pattern_and_format,
    "deny": _answer,
    "return": _answer,
    "redirect": check_redirect,
    "allow": _condition_alone,
}
RESPONSE_ACTIONS: Mapping[str, Check] = {
    **HEADER_ACTIONS,
    "deny": _answer,
    "return": _answer,
    "redirect": check_redirect,
    "set-status": _status,
    "allow": _condition_alone,
}
AFTER_RESPONSE_ACTIONS: Mapping[str, Check] = {
    **HEADER_ACTIONS,
    "set-status": _status,
    "allow": _condition_alone,
}


def one_of_actions(known: Mapping[str, Check]) -> Check:
    """Return the check of an action that is one of the known ones, or sets or unsets a variable."""

    def check(cursor: Cursor) -> None:
        action = cursor.next("an action")
        setting = _SETTING.fullmatch(action)
        if setting:
            _check_variable(setting["variable"])
            _SETTING_ACTIONS[setting["action"]](cursor)
        elif action in known:
            known[action](cursor)
        else:
            raise ValueError(
                f"`{shown_name(action)}` is not one of {', '.join(sorted(known))}, set-var(…), unset-var(…)"
            )

    return check


def _check_variable(variable: str) -> None:
    scope, _, name = matching(VARIABLE, variable, "the name of the variable").partition(".")
    if OWN_VARIABLES.fullmatch(name):
        raise ValueError(f"the variable {scope}.{name} is Flowproxy's; choose another name")
