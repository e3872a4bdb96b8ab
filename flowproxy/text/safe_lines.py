"""What `safe` allows of HAProxy's configuration language: directives for one's own backend that read only the request
and the response (docs/guide/raw.md).

It is a list of what is allowed, and every argument of a directive has a rule. What is not understood is refused.
Nothing here reads a file, a map, a variable of the environment, Lua, or a table, and nothing adds a server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from flowproxy.text.expressions import (
    ACL_NAME,
    LOG_ALIAS,
    VARIABLE,
    Cursor,
    Rest,
    check_acl,
    check_expression,
    check_format,
    check_pattern,
    matching,
    shown_name,
    word_of,
)
from flowproxy.text.framing_headers import require_no_framing
from flowproxy.text.lines import texts_of

LINES, CHARACTERS = 100, 8192

# Variables that our own configuration decides by, in the scope txn.
OWN_VARIABLES = re.compile(
    r"(?:route|host|conditional|default|exact|pattern|any|wildcard\d*|key\d*|odd|hop|scheme|normal|peer"
    r"|flowproxy[\w.]*)",
    re.IGNORECASE,
)

_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z_-]+")
_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(?P<number>[0-9]{1,10})(?P<unit>us|ms|s|m|h|d)?")
_UNITS_MS = {"us": 0.001, "ms": 1, None: 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHORTEST_MS, _LONGEST_MS = 10, 24 * 86_400_000
_STATUS = re.compile(r"[2-5][0-9]{2}")  # 1xx are no final answers

_ALGORITHMS = frozenset("roundrobin static-rr leastconn first source".split())
_HASHING = frozenset("map-based consistent sdbm djb2 wt6 crc32 none avalanche".split())
_COOKIE_FLAGS = frozenset("insert prefix rewrite indirect nocache postonly preserve httponly secure".split())
_REUSE = frozenset("never safe aggressive always".split())
_RETRIES = frozenset(
    "none conn-failure empty-response junk-response response-timeout 0rtt-rejected"
    " 401 403 404 408 425 429 500 501 502 503 504".split()
)
_PLAIN_OPTIONS = frozenset(
    "abortonclose allbackups http-buffer-request http-keep-alive http-no-delay http-server-close httpclose ldap-check"
    " prefer-last-server redis-check srvtcpka ssl-hello-chk tcp-check tcpka".split()
)
_DELETED_BY = frozenset("str beg end sub reg".split())
_TIMEOUTS = frozenset("server tunnel queue connect check http-keep-alive http-request server-fin".split())


def check_lines(text: str) -> None:
    """Check lines of a backend. Raises ValueError that names the directive and says what is allowed."""
    lines = text.splitlines()
    if len(lines) > LINES or len(text) > CHARACTERS:
        raise ValueError(f"has {len(lines)} lines and {len(text)} characters; `safe` allows {LINES} and {CHARACTERS}")
    for line in lines:
        words = texts_of(line)
        if not words:
            continue
        check = _DIRECTIVES.get(words[0])
        if check is None:
            allowed = ", ".join(sorted(_DIRECTIVES))
            raise ValueError(f"`{shown_name(words[0])}` needs FLOWPROXY_RAW_CONFIG=all; `safe` allows {allowed}")
        _named(words[0], check, words[1:])


def check_header(action: str, text: str) -> None:
    """Check what stands behind add-header, set-header or del-header. Raises ValueError."""
    _named(action, _HEADER_ACTIONS[action], texts_of(text))


def check_balance(text: str) -> None:
    """Check what stands behind balance. Raises ValueError."""
    _named("balance", _balance, text.split())


def check_log_format(text: str) -> None:
    """Check a format of log lines, which may name every variable of logs. Raises ValueError."""
    check_format(text, LOG_ALIAS)


def _named(name: str, check: Callable[[Cursor], None], words: Rest) -> None:
    try:
        check(Cursor(words))
    except ValueError as error:
        raise ValueError(
            f"`{name}`: {error}; `safe` allows it with values, fetches and converters of the request and the response"
            " only; everything else needs FLOWPROXY_RAW_CONFIG=all"
        ) from None


# Actions of http-request, http-response and http-after-response


def _header_name(cursor: Cursor) -> None:
    require_no_framing(matching(_NAME, cursor.next("the name of the header"), "the name of the header"))


def _name_and_format(cursor: Cursor) -> None:
    _header_name(cursor)
    check_format(cursor.next("the value of the header"))
    cursor.condition()


def _name_alone(cursor: Cursor) -> None:
    name = matching(_NAME, cursor.next("the name of the header"), "the name of the header")
    method = word_of(_DELETED_BY, cursor.next("a matching method")) if cursor.take("-m") else "str"
    require_no_framing(name, method)
    cursor.condition()


def _replaced_header(cursor: Cursor) -> None:
    _header_name(cursor)
    _pattern_and_format(cursor)


def _pattern_and_format(cursor: Cursor) -> None:
    check_pattern(cursor.next("a regular expression"))
    check_format(cursor.next("what replaces it"))
    cursor.condition()


def _format_alone(cursor: Cursor) -> None:
    check_format(cursor.next("a value"))
    cursor.condition()


def _answer(cursor: Cursor) -> None:
    """A status, and a body that is written in the line."""
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
            _header_name(cursor)
            check_format(cursor.next("the value of the header"))
    cursor.condition()


def _redirect(cursor: Cursor) -> None:
    if cursor.take("location", "prefix", "scheme") is None:
        raise ValueError("location, prefix or scheme is missing")
    check_format(cursor.next("where to redirect to"))
    while option := cursor.take("code", "drop-query", "append-slash", "ignore-empty", "set-cookie", "clear-cookie"):
        if option == "code":
            word_of(frozenset("301 302 303 307 308".split()), cursor.next("a status"))
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
_HEADER_ACTIONS: Mapping[str, Callable[[Cursor], None]] = {
    "add-header": _name_and_format,
    "set-header": _name_and_format,
    "del-header": _name_alone,
    "replace-header": _replaced_header,
    "replace-value": _replaced_header,
}
_ON_REQUESTS: Mapping[str, Callable[[Cursor], None]] = {
    **_HEADER_ACTIONS,
    "set-path": _format_alone,
    "set-pathq": _format_alone,
    "set-query": _format_alone,
    "replace-path": _pattern_and_format,
    "replace-pathq": _pattern_and_format,
    "deny": _answer,
    "return": _answer,
    "redirect": _redirect,
    "allow": _condition_alone,
}
_ON_RESPONSES: Mapping[str, Callable[[Cursor], None]] = {
    **_HEADER_ACTIONS,
    "deny": _answer,
    "return": _answer,
    "redirect": _redirect,
    "set-status": _status,
    "allow": _condition_alone,
}
_AFTER_RESPONSES: Mapping[str, Callable[[Cursor], None]] = {
    **_HEADER_ACTIONS,
    "set-status": _status,
    "allow": _condition_alone,
}


def _actions(known: Mapping[str, Callable[[Cursor], None]]) -> Callable[[Cursor], None]:
    def check(cursor: Cursor) -> None:
        action = cursor.next("an action")
        setting = _SETTING.fullmatch(action)
        if setting:
            scope, _, name = matching(VARIABLE, setting["variable"], "the name of the variable").partition(".")
            if OWN_VARIABLES.fullmatch(name):
                raise ValueError(f"the variable {scope}.{name} is Flowproxy's; choose another name")
            rules = {"set-var": _set_variable, "set-var-fmt": _format_alone, "unset-var": _condition_alone}
            rules[setting["action"]](cursor)
        elif action in known:
            known[action](cursor)
        else:
            raise ValueError(
                f"`{shown_name(action)}` is not one of {', '.join(sorted(known))}, set-var(…), unset-var(…)"
            )

    return check


# Directives of a backend


def _acl(cursor: Cursor) -> None:
    matching(ACL_NAME, cursor.next("the name of the acl"), "the name of the acl")
    check_acl(cursor.rest())


def _balance(cursor: Cursor) -> None:
    algorithm = cursor.next("an algorithm")
    if algorithm in _ALGORITHMS or re.fullmatch(r"random(?:\([0-9]{1,3}\))?", algorithm):
        cursor.end()
    elif algorithm == "uri":
        while option := cursor.take("len", "depth", "whole", "path-only"):
            if option in ("len", "depth"):
                matching(_NUMBER, cursor.next("a number"), "the number")
        cursor.end()
    elif algorithm == "url_param":
        matching(_NAME, cursor.next("the name of the parameter"), "the name of the parameter")
        cursor.end()
    elif re.fullmatch(r"hdr\([A-Za-z0-9_-]+\)", algorithm):
        cursor.take("use_domain_only")
        cursor.end()
    elif algorithm == "hash":
        check_expression(cursor.next("an expression"))
        cursor.end()
    else:
        raise ValueError("the algorithm is not roundrobin, static-rr, leastconn, first, source, random, uri, url_param,"
                         " hdr(name) or hash")  # fmt: skip


def _option(cursor: Cursor) -> None:
    option = cursor.next("an option")
    if option in _PLAIN_OPTIONS:
        cursor.end()
    elif option == "httpchk":
        if len(cursor.rest()) > 3:
            raise ValueError("httpchk has a method, a path and a version at most")
    elif option == "forwardfor":
        while part := cursor.take("except", "header", "if-none"):
            if part == "except":
                matching(re.compile(r"[0-9A-Fa-f.:/]+"), cursor.next("a network"), "the network")
            elif part == "header":
                _header_name(cursor)
        cursor.end()
    elif option == "redispatch":
        for word in cursor.rest():
            matching(re.compile(r"-?[0-9]{1,2}"), word, "the number")
    elif option in ("mysql-check", "pgsql-check", "smtpchk"):
        for word in cursor.rest():
            matching(re.compile(r"[0-9A-Za-z_.-]+"), word, "a word")
    else:
        known = sorted(
            {*_PLAIN_OPTIONS, "httpchk", "forwardfor", "redispatch", "mysql-check", "pgsql-check", "smtpchk"}
        )
        raise ValueError(f"`{shown_name(option)}` is not one of {', '.join(known)}")


def _negated(cursor: Cursor) -> None:
    if cursor.take("option") is None:
        raise ValueError("only `no option` is allowed")
    _option(cursor)


def _timeout(cursor: Cursor) -> None:
    word_of(_TIMEOUTS, cursor.next("the name of the timeout"))
    found = _DURATION.fullmatch(cursor.next("a time"))
    if not found or not _SHORTEST_MS <= int(found["number"]) * _UNITS_MS[found["unit"]] <= _LONGEST_MS:
        raise ValueError(
            f"a timeout is a number of milliseconds, or one with ms, s, m, h or d, from {_SHORTEST_MS}ms to 24d"
        )
    cursor.end()


def _retries(cursor: Cursor) -> None:
    if not re.fullmatch(r"[0-9]|10", cursor.next("a number")):
        raise ValueError("the number is not from 0 to 10")
    cursor.end()


def _http_check(cursor: Cursor) -> None:
    action = cursor.next("an action")
    if action in ("disable-on-404", "send-state"):
        cursor.end()
    elif action == "send":
        while option := cursor.take("meth", "uri", "ver", "hdr", "body"):
            if option == "hdr":
                matching(_NAME, cursor.next("the name of the header"), "the name of the header")
                check_format(cursor.next("the value of the header"))
            else:
                cursor.next(f"the value of {option}")
        cursor.end()
    elif action == "expect":
        cursor.take("!")
        kind = word_of(frozenset("status rstatus string rstring".split()), cursor.next("what is expected"))
        value = cursor.next("the value")
        if kind in ("rstatus", "rstring"):
            check_pattern(value)
        cursor.end()
    else:
        raise ValueError(f"`{shown_name(action)}` is not one of disable-on-404, expect, send, send-state")


def _cookie(cursor: Cursor) -> None:
    matching(_NAME, cursor.next("the name of the cookie"), "the name of the cookie")
    while option := cursor.take(*_COOKIE_FLAGS, "domain", "maxidle", "maxlife", "attr"):
        if option not in _COOKIE_FLAGS:
            matching(re.compile(r"[0-9A-Za-z_.=-]+"), cursor.next(f"the value of {option}"), f"the value of {option}")
    cursor.end()


def _compression(cursor: Cursor) -> None:
    if cursor.take("offload") is None:
        if cursor.take("algo", "type") is None:
            raise ValueError("algo, type or offload is missing")
        for word in cursor.rest():
            matching(re.compile(r"[A-Za-z0-9.+*/_-]+"), word, "a word")
    cursor.end()


def _words_from(allowed: frozenset[str]) -> Callable[[Cursor], None]:
    def check(cursor: Cursor) -> None:
        word_of(allowed, cursor.next("a word"))
        for word in cursor.rest():
            word_of(allowed, word)

    return check


_DIRECTIVES: Mapping[str, Callable[[Cursor], None]] = {
    "acl": _acl,
    "balance": _balance,
    "compression": _compression,
    "cookie": _cookie,
    "hash-type": _words_from(_HASHING),
    "http-after-response": _actions(_AFTER_RESPONSES),
    "http-check": _http_check,
    "http-request": _actions(_ON_REQUESTS),
    "http-response": _actions(_ON_RESPONSES),
    "http-reuse": _words_from(_REUSE),
    "no": _negated,
    "option": _option,
    "redirect": _redirect,
    "retries": _retries,
    "retry-on": _words_from(_RETRIES),
    "timeout": _timeout,
}
