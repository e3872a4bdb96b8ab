"""What `safe` allows of HAProxy's configuration language: directives for one's own backend that read only the request
and the response (docs/guide/raw.md).

It is a list of what is allowed, and every argument of a directive has a rule. What is not understood is refused.
Nothing here reads a file, a map, a variable of the environment, Lua, or a table, and nothing adds a server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from flowproxy.raw import texts_of

LINES, CHARACTERS = 100, 8192
_LONGEST_PATTERN = 256

# Variables that our own configuration decides by, in the scope txn.
OWN_VARIABLES = re.compile(
    r"(?:route|host|conditional|default|exact|pattern|any|wildcard\d*|key\d*|flowproxy[\w.]*)", re.IGNORECASE
)

_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z_-]+")
_ACL_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(?P<number>[0-9]{1,10})(?P<unit>us|ms|s|m|h|d)?")
_UNITS_MS = {"us": 0.001, "ms": 1, None: 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHORTEST_MS, _LONGEST_MS = 10, 24 * 86_400_000
_STATUS = re.compile(r"[1-5][0-9]{2}")
_VARIABLE = re.compile(r"(?:txn|req|res)\.[A-Za-z0-9_.]+")

_COMPARED = "(?:_(?:beg|dir|dom|end|len|reg|sub))?"
_FETCHES = re.compile(
    rf"(?:path|url|base){_COMPARED}|pathq|url_(?:ip|port|param{_COMPARED})|urlp(?:_val|{_COMPARED})|query|method"
    rf"|(?:req\.|res\.)?f?hdr(?:_cnt|_ip|_val|{_COMPARED})|shdr(?:_cnt|_ip|_val|{_COMPARED})"
    rf"|(?:(?:req\.|res\.)?cook|scook)(?:_cnt|_val|{_COMPARED})|re[qs]\.ver|re[qs]_ver|res[pq]?_ver"
    r"|re[qs]\.body_(?:len|size)|status|src|src_port|dst|dst_port|var|rand|date|uuid|nbsrv|http_first_req"
    r"|capture\.req\.(?:method|uri|ver)|capture\.res\.ver|str|int|bool|bin|ipv4|ipv6|meth|always_true|always_false"
    r"|ssl_fc(?:_(?:alpn|cipher|has_crt|has_sni|is_resumed|npn|protocol|sni))?"
    r"|ssl_c_(?:used|verify|err|version|serial|sha1|notafter|notbefore|key_alg|sig_alg|s_dn|i_dn)"
)
_CONVERTERS = frozenset(
    "lower upper regsub reg field word bytes base64 b64dec ub64enc ub64dec url_dec url_enc json json_query length"
    " strcmp hex hex2i ipmask ltrim rtrim concat crc32 crc32c djb2 sdbm wt6 xxh32 xxh64 sha1 sha2 http_date ltime utime"
    " iif host_only port_only language add sub mul div mod neg and or xor cpl not odd even bool jwt_header_query"
    " jwt_payload_query param str int".split()
)
_BACKSLASHED = r"\\[^()'\"\\,\s]"
_STEP = re.compile(
    rf"(?P<name>[A-Za-z0-9_.-]+)(?:\((?P<arguments>(?:[^()'\"\\]|{_BACKSLASHED}|'[^']*'|\"(?:[^\"\\]|\\.)*\")*)\))?"
)
_ALIAS = re.compile(r"(?:ci|cp|fi|fp|HM|HP|HPO|HQ|HU|HV|T|t|ID|ST|b|s)(?![A-Za-z])")
_FLAGS = re.compile(r"\{[-+A-Za-z,]{0,20}\}")
_LOG_ALIAS = re.compile(r"[A-Za-z]{1,5}(?![A-Za-z])")
_METHODS = frozenset("str beg end sub reg dir dom len int ip bool found hex bin".split())
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

Rest: TypeAlias = Sequence[str]


class _Cursor:
    """The words of one line behind its directive, taken one by one."""

    def __init__(self, words: Rest) -> None:
        self._words = list(words)

    def next(self, what: str) -> str:
        """Take the next word. Raises ValueError that it is missing."""
        if not self._words:
            raise ValueError(f"{what} is missing")
        return self._words.pop(0)

    def take(self, *words: str) -> str | None:
        """Take the next word if it is one of these."""
        return self._words.pop(0) if self._words and self._words[0] in words else None

    def rest(self) -> list[str]:
        """Take what is left."""
        words, self._words = self._words, []
        return words

    def end(self) -> None:
        """Require that nothing is left. What is left is not quoted: it may be a part of a secret."""
        if self._words:
            raise ValueError("has more words than it can have; put a value with spaces into quotes")

    def condition(self) -> None:
        """Require a condition, or nothing, up to the end."""
        if self.take("if", "unless"):
            _check_condition(self.rest())
        self.end()


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
            raise ValueError(f"`{_shown(words[0])}` needs FLOWPROXY_RAW_CONFIG=all; `safe` allows {allowed}")
        _named(words[0], check, words[1:])


def check_header(action: str, text: str) -> None:
    """Check what stands behind add-header, set-header or del-header. Raises ValueError."""
    _named(action, _HEADER_ACTIONS[action], texts_of(text))


def check_balance(text: str) -> None:
    """Check what stands behind balance. Raises ValueError."""
    _named("balance", _balance, text.split())


def check_log_format(text: str) -> None:
    """Check a format of log lines, which may name every variable of logs. Raises ValueError."""
    _check_format(text, _LOG_ALIAS)


def check_pattern(pattern: str) -> None:
    """Check one regular expression. Raises ValueError."""
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"has a regular expression of {len(pattern)} characters; `safe` allows {_LONGEST_PATTERN}")


def _named(name: str, check: Callable[[_Cursor], None], words: Rest) -> None:
    try:
        check(_Cursor(words))
    except ValueError as error:
        raise ValueError(
            f"`{name}`: {error}; `safe` allows it with values, fetches and converters of the request and the response"
            " only; everything else needs FLOWPROXY_RAW_CONFIG=all"
        ) from None


# Expressions, formats, conditions


def _check_expression(text: str) -> str:
    """Check a fetch with its converters; return the name of the fetch."""
    name, end = _read_expression(text, 0)
    if end != len(text):
        raise ValueError("an expression goes on where it should end")
    return name


def _read_expression(text: str, position: int) -> tuple[str, int]:
    """Read a fetch and its converters from a position; return the fetch's name and where the expression ends."""
    fetch = ""
    while True:
        step = _STEP.match(text, position)
        if step is None:
            raise ValueError("an expression has a fetch or converter that is not allowed")
        name, arguments = step["name"], step["arguments"] or ""
        if not fetch:
            fetch = name
            _check_fetch(name, arguments)
        else:
            _check_converter(name, arguments)
        if text[step.end() : step.end() + 1] != ",":
            return fetch, step.end()
        position = step.end() + 1


def _check_fetch(name: str, arguments: str) -> None:
    if not _FETCHES.fullmatch(name):
        raise ValueError(f"the fetch `{_shown(name)}` is not allowed")
    if name == "var" and not _VARIABLE.fullmatch(arguments.partition(",")[0]):
        raise ValueError("a variable has the scope txn, req or res")
    if name == "nbsrv" and arguments:
        raise ValueError("nbsrv asks for the servers of this backend, without a name")


def _check_converter(name: str, arguments: str) -> None:
    if name not in _CONVERTERS:
        raise ValueError(f"the converter `{_shown(name)}` is not allowed")
    if name in ("regsub", "reg"):
        check_pattern(arguments)


def _check_format(text: str, aliases: re.Pattern[str] = _ALIAS) -> None:
    """A log-format: text, `%%`, `%[expression]` and a few variables, each with flags or without."""
    position = 0
    while (position := text.find("%", position)) >= 0:
        position += 1
        if text.startswith("%", position):
            position += 1
            continue
        flags = _FLAGS.match(text, position)
        position = flags.end() if flags else position
        if text.startswith("[", position):
            _, position = _read_expression(text, position + 1)
            if not text.startswith("]", position):
                raise ValueError("an expression between %[ and ] goes on where it should end")
            position += 1
        elif alias := aliases.match(text, position):
            position = alias.end()
        else:
            raise ValueError("a percent sign is written %% unless an expression %[…] follows")


def _check_condition(words: Rest) -> None:
    if not words:
        raise ValueError("a condition is missing behind `if` or `unless`")
    position = 0
    while position < len(words):
        word = words[position].lstrip("!")
        if word == "{":
            end = next((n for n in range(position, len(words)) if words[n] == "}"), None)
            if end is None:
                raise ValueError("a condition that begins with `{` has no `}`")
            _check_acl(words[position + 1 : end])
            position = end
        elif word and word not in ("||", "or") and not _ACL_NAME.fullmatch(word):
            raise ValueError("a condition is the name of an acl, or `{ fetch … }`")
        position += 1


def _check_acl(words: Rest) -> None:
    """An expression, flags, and the values that it is compared with."""
    cursor = _Cursor(words)
    name = _check_expression(cursor.next("what to compare"))
    compared = "reg" if name.endswith("_reg") else ""
    while flag := cursor.take("-i", "-n", "-m", "--"):
        if flag == "--":
            break
        if flag == "-m":
            compared = _word_of(_METHODS, cursor.next("a matching method"))
    values = cursor.rest()
    if flag != "--" and values and values[0].startswith("-") and not values[0][1:].isdigit():
        raise ValueError("an acl has only the flags -i, -n, -m and --")
    if compared == "reg":
        for value in values:
            check_pattern(value)


def _word_of(allowed: frozenset[str], word: str) -> str:
    if word not in allowed:
        raise ValueError(f"`{_shown(word)}` is not one of {', '.join(sorted(allowed))}")
    return word


def _matching(pattern: re.Pattern[str], word: str, what: str) -> str:
    if not pattern.fullmatch(word):
        raise ValueError(f"{what} is wrong")
    return word


def _shown(word: str) -> str:
    """A word that an error may repeat: a name, and not a value that may be secret."""
    return word[:40] if re.fullmatch(r"[A-Za-z0-9_.-]+", word[:40]) else "…"


# Actions of http-request, http-response and http-after-response


def _name_and_format(cursor: _Cursor) -> None:
    _matching(_NAME, cursor.next("the name of the header"), "the name of the header")
    _check_format(cursor.next("the value of the header"))
    cursor.condition()


def _name_alone(cursor: _Cursor) -> None:
    _matching(_NAME, cursor.next("the name of the header"), "the name of the header")
    if cursor.take("-m"):
        _word_of(_METHODS, cursor.next("a matching method"))
    cursor.condition()


def _replaced_header(cursor: _Cursor) -> None:
    _matching(_NAME, cursor.next("the name of the header"), "the name of the header")
    _pattern_and_format(cursor)


def _pattern_and_format(cursor: _Cursor) -> None:
    check_pattern(cursor.next("a regular expression"))
    _check_format(cursor.next("what replaces it"))
    cursor.condition()


def _format_alone(cursor: _Cursor) -> None:
    _check_format(cursor.next("a value"))
    cursor.condition()


def _answer(cursor: _Cursor) -> None:
    """A status, and a body that is written in the line."""
    while option := cursor.take(
        "status", "deny_status", "content-type", "string", "lf-string", "hdr", "default-errorfiles"
    ):
        if option in ("status", "deny_status"):
            _matching(_STATUS, cursor.next("a status"), "the status")
        elif option in ("content-type", "string"):
            cursor.next(f"the value of {option}")
        elif option == "lf-string":
            _check_format(cursor.next("the value of lf-string"))
        elif option == "hdr":
            _matching(_NAME, cursor.next("the name of the header"), "the name of the header")
            _check_format(cursor.next("the value of the header"))
    cursor.condition()


def _redirect(cursor: _Cursor) -> None:
    if cursor.take("location", "prefix", "scheme") is None:
        raise ValueError("location, prefix or scheme is missing")
    _check_format(cursor.next("where to redirect to"))
    while option := cursor.take("code", "drop-query", "append-slash", "ignore-empty", "set-cookie", "clear-cookie"):
        if option == "code":
            _word_of(frozenset("301 302 303 307 308".split()), cursor.next("a status"))
        elif option in ("set-cookie", "clear-cookie"):
            cursor.next("a cookie")
    cursor.condition()


def _status(cursor: _Cursor) -> None:
    _matching(_STATUS, cursor.next("a status"), "the status")
    if cursor.take("reason"):
        cursor.next("a reason")
    cursor.condition()


def _condition_alone(cursor: _Cursor) -> None:
    cursor.condition()


def _set_variable(cursor: _Cursor) -> None:
    _check_expression(cursor.next("an expression"))
    cursor.condition()


_SETTING = re.compile(r"(?P<action>set-var|set-var-fmt|unset-var)\((?P<variable>[^(),]*)\)")
_HEADER_ACTIONS: Mapping[str, Callable[[_Cursor], None]] = {
    "add-header": _name_and_format,
    "set-header": _name_and_format,
    "del-header": _name_alone,
    "replace-header": _replaced_header,
    "replace-value": _replaced_header,
}
_ON_REQUESTS: Mapping[str, Callable[[_Cursor], None]] = {
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
_ON_RESPONSES: Mapping[str, Callable[[_Cursor], None]] = {
    **_HEADER_ACTIONS,
    "deny": _answer,
    "return": _answer,
    "redirect": _redirect,
    "set-status": _status,
    "allow": _condition_alone,
}
_AFTER_RESPONSES: Mapping[str, Callable[[_Cursor], None]] = {
    **_HEADER_ACTIONS,
    "set-status": _status,
    "allow": _condition_alone,
}


def _actions(known: Mapping[str, Callable[[_Cursor], None]]) -> Callable[[_Cursor], None]:
    def check(cursor: _Cursor) -> None:
        action = cursor.next("an action")
        setting = _SETTING.fullmatch(action)
        if setting:
            scope, _, name = _matching(_VARIABLE, setting["variable"], "the name of the variable").partition(".")
            if OWN_VARIABLES.fullmatch(name):
                raise ValueError(f"the variable {scope}.{name} is Flowproxy's; choose another name")
            rules = {"set-var": _set_variable, "set-var-fmt": _format_alone, "unset-var": _condition_alone}
            rules[setting["action"]](cursor)
        elif action in known:
            known[action](cursor)
        else:
            raise ValueError(f"`{_shown(action)}` is not one of {', '.join(sorted(known))}, set-var(…), unset-var(…)")

    return check


# Directives of a backend


def _acl(cursor: _Cursor) -> None:
    _matching(_ACL_NAME, cursor.next("the name of the acl"), "the name of the acl")
    _check_acl(cursor.rest())


def _balance(cursor: _Cursor) -> None:
    algorithm = cursor.next("an algorithm")
    if algorithm in _ALGORITHMS or re.fullmatch(r"random(?:\([0-9]{1,3}\))?", algorithm):
        cursor.end()
    elif algorithm == "uri":
        while option := cursor.take("len", "depth", "whole", "path-only"):
            if option in ("len", "depth"):
                _matching(_NUMBER, cursor.next("a number"), "the number")
        cursor.end()
    elif algorithm == "url_param":
        _matching(_NAME, cursor.next("the name of the parameter"), "the name of the parameter")
        cursor.end()
    elif re.fullmatch(r"hdr\([A-Za-z0-9_-]+\)", algorithm):
        cursor.take("use_domain_only")
        cursor.end()
    elif algorithm == "hash":
        _check_expression(cursor.next("an expression"))
        cursor.end()
    else:
        raise ValueError("the algorithm is not roundrobin, static-rr, leastconn, first, source, random, uri, url_param,"
                         " hdr(name) or hash")  # fmt: skip


def _option(cursor: _Cursor) -> None:
    option = cursor.next("an option")
    if option in _PLAIN_OPTIONS:
        cursor.end()
    elif option == "httpchk":
        if len(cursor.rest()) > 3:
            raise ValueError("httpchk has a method, a path and a version at most")
    elif option == "forwardfor":
        while part := cursor.take("except", "header", "if-none"):
            if part != "if-none":
                _matching(re.compile(r"[0-9A-Za-z_.:/-]+"), cursor.next("a value"), f"the value of {part}")
        cursor.end()
    elif option == "redispatch":
        for word in cursor.rest():
            _matching(re.compile(r"-?[0-9]{1,2}"), word, "the number")
    elif option in ("mysql-check", "pgsql-check", "smtpchk"):
        for word in cursor.rest():
            _matching(re.compile(r"[0-9A-Za-z_.-]+"), word, "a word")
    else:
        known = sorted(
            {*_PLAIN_OPTIONS, "httpchk", "forwardfor", "redispatch", "mysql-check", "pgsql-check", "smtpchk"}
        )
        raise ValueError(f"`{_shown(option)}` is not one of {', '.join(known)}")


def _negated(cursor: _Cursor) -> None:
    if cursor.take("option") is None:
        raise ValueError("only `no option` is allowed")
    _option(cursor)


def _timeout(cursor: _Cursor) -> None:
    _word_of(_TIMEOUTS, cursor.next("the name of the timeout"))
    found = _DURATION.fullmatch(cursor.next("a time"))
    if not found or not _SHORTEST_MS <= int(found["number"]) * _UNITS_MS[found["unit"]] <= _LONGEST_MS:
        raise ValueError(
            f"a timeout is a number of milliseconds, or one with ms, s, m, h or d, from {_SHORTEST_MS}ms to 24d"
        )
    cursor.end()


def _retries(cursor: _Cursor) -> None:
    if not re.fullmatch(r"[0-9]|10", cursor.next("a number")):
        raise ValueError("the number is not from 0 to 10")
    cursor.end()


def _http_check(cursor: _Cursor) -> None:
    action = cursor.next("an action")
    if action in ("disable-on-404", "send-state"):
        cursor.end()
    elif action == "send":
        while option := cursor.take("meth", "uri", "ver", "hdr", "body"):
            if option == "hdr":
                _matching(_NAME, cursor.next("the name of the header"), "the name of the header")
                _check_format(cursor.next("the value of the header"))
            else:
                cursor.next(f"the value of {option}")
        cursor.end()
    elif action == "expect":
        cursor.take("!")
        kind = _word_of(frozenset("status rstatus string rstring".split()), cursor.next("what is expected"))
        value = cursor.next("the value")
        if kind in ("rstatus", "rstring"):
            check_pattern(value)
        cursor.end()
    else:
        raise ValueError(f"`{_shown(action)}` is not one of disable-on-404, expect, send, send-state")


def _cookie(cursor: _Cursor) -> None:
    _matching(_NAME, cursor.next("the name of the cookie"), "the name of the cookie")
    while option := cursor.take(*_COOKIE_FLAGS, "domain", "maxidle", "maxlife", "attr"):
        if option not in _COOKIE_FLAGS:
            _matching(re.compile(r"[0-9A-Za-z_.=-]+"), cursor.next(f"the value of {option}"), f"the value of {option}")
    cursor.end()


def _compression(cursor: _Cursor) -> None:
    if cursor.take("offload") is None:
        if cursor.take("algo", "type") is None:
            raise ValueError("algo, type or offload is missing")
        for word in cursor.rest():
            _matching(re.compile(r"[A-Za-z0-9.+*/_-]+"), word, "a word")
    cursor.end()


def _words_from(allowed: frozenset[str]) -> Callable[[_Cursor], None]:
    def check(cursor: _Cursor) -> None:
        _word_of(allowed, cursor.next("a word"))
        for word in cursor.rest():
            _word_of(allowed, word)

    return check


def _name_only(cursor: _Cursor) -> None:
    _matching(_NAME, cursor.next("a name"), "the name")
    cursor.end()


_DIRECTIVES: Mapping[str, Callable[[_Cursor], None]] = {
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
    "http-send-name-header": _name_only,
    "no": _negated,
    "option": _option,
    "redirect": _redirect,
    "retries": _retries,
    "retry-on": _words_from(_RETRIES),
    "timeout": _timeout,
}
