"""What `safe` allows of HAProxy's configuration language (docs/guide/raw.md).

That is a list of directives for the service's own backend, with a rule for every argument. They read only the request
and the response: no file, map, variable of the environment, Lua or table; and they add no server. Everything that is
not understood is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowproxy.text.expressions import (
    ACL_NAME,
    LOG_ALIAS,
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
from flowproxy.text.lines import texts_of
from flowproxy.text.safe_actions import (
    AFTER_RESPONSE_ACTIONS,
    HEADER_ACTIONS,
    HEADER_NAME,
    REQUEST_ACTIONS,
    RESPONSE_ACTIONS,
    Check,
    check_header_name,
    check_redirect,
    one_of_actions,
)

LINES, CHARACTERS = 100, 8192

_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(?P<number>[0-9]{1,10})(?P<unit>us|ms|s|m|h|d)?")
_UNITS_MS = {"us": 0.001, "ms": 1, None: 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHORTEST_MS, _LONGEST_MS = 10, 24 * 86_400_000

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
_TIMEOUTS = frozenset("server tunnel queue connect check http-keep-alive http-request server-fin".split())


def check_lines(text: str) -> None:
    """Check lines of a backend. Raises ValueError with the directive and what is allowed."""
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
    """Check the words after add-header, set-header or del-header. Raises ValueError."""
    _named(action, HEADER_ACTIONS[action], texts_of(text))


def check_balance(text: str) -> None:
    """Check the words after balance. Raises ValueError."""
    _named("balance", _balance, text.split())


def check_log_format(text: str) -> None:
    """Check the format of log lines, which may use all log variables. Raises ValueError."""
    check_format(text, LOG_ALIAS)


def _named(name: str, check: Check, words: Rest) -> None:
    try:
        check(Cursor(words))
    except ValueError as error:
        raise ValueError(
            f"`{name}`: {error}; `safe` allows it with values, fetches and converters of the request and the response"
            " only; everything else needs FLOWPROXY_RAW_CONFIG=all"
        ) from None


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
        matching(HEADER_NAME, cursor.next("the name of the parameter"), "the name of the parameter")
        cursor.end()
    elif re.fullmatch(r"hdr\([A-Za-z0-9_-]+\)", algorithm):
        cursor.take("use_domain_only")
        cursor.end()
    elif algorithm == "hash":
        check_expression(cursor.next("an expression"))
        cursor.end()
    else:
        raise ValueError(
            "the algorithm is not roundrobin, static-rr, leastconn, first, source, random, uri, url_param, hdr(name)"
            " or hash"
        )


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
                check_header_name(cursor)
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
                matching(HEADER_NAME, cursor.next("the name of the header"), "the name of the header")
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
    matching(HEADER_NAME, cursor.next("the name of the cookie"), "the name of the cookie")
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


def _words_from(allowed: frozenset[str]) -> Check:
    def check(cursor: Cursor) -> None:
        word_of(allowed, cursor.next("a word"))
        for word in cursor.rest():
            word_of(allowed, word)

    return check


_DIRECTIVES: Mapping[str, Check] = {
    "acl": _acl,
    "balance": _balance,
    "compression": _compression,
    "cookie": _cookie,
    "hash-type": _words_from(_HASHING),
    "http-after-response": one_of_actions(AFTER_RESPONSE_ACTIONS),
    "http-check": _http_check,
    "http-request": one_of_actions(REQUEST_ACTIONS),
    "http-response": one_of_actions(RESPONSE_ACTIONS),
    "http-reuse": _words_from(_REUSE),
    "no": _negated,
    "option": _option,
    "redirect": check_redirect,
    "retries": _retries,
    "retry-on": _words_from(_RETRIES),
    "timeout": _timeout,
}
