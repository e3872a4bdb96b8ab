"""Lines of HAProxy configuration that a service writes: how they are read, and what each level allows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from raw_lines import ALLOWED, REFUSED

from flowproxy.errors import InvalidService, Untrusted
from flowproxy.services.model import Defaults
from flowproxy.services.parse import parse
from flowproxy.text.lines import Level, reads_files, require_network_addresses, texts_of, words_of
from flowproxy.text.safe_lines import OWN_VARIABLES, check_lines

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
LISTS = Defaults(separator="|")


@pytest.mark.parametrize("line", ALLOWED)
def test_safe_allows(line: str) -> None:
    check_lines(line)


@pytest.mark.parametrize("line", REFUSED)
def test_safe_refuses_and_says_what_would_be_needed_or_what_is_wrong(line: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        check_lines(line)
    message = str(refused.value)
    assert "FLOWPROXY_RAW_CONFIG=all" in message or "quote" in message or "\\x00" in message
    assert "/etc/passwd" not in message


def test_safe_is_bounded_in_lines_and_characters() -> None:
    check_lines("retries 1\n" * 100)
    with pytest.raises(ValueError, match="101 lines"):
        check_lines("retries 1\n" * 101)
    with pytest.raises(ValueError, match="9000 characters"):
        check_lines("#" * 9000)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("a\\ b c\\\\d \\#e", ["a b", "c\\d", "#e"]),
        ("a#b c", ["a"]),
        ("a '#' \"#\" # rest", ["a", "#", "#"]),
        (r"\x61b 'c\x61'", ["ab", r"c\x61"]),
        (r"a\.b \d", [r"a\.b", r"\d"]),
        ("a'b'\"c\"d", ["abcd"]),
        ("'' a", ["", "a"]),
        ('"it\'s \\"quoted\\""', ['it\'s "quoted"']),
        ("  a\tb\rc\vd  ", ["a", "b", "c", "d"]),
    ],
)
def test_words_are_those_that_haproxy_reads(line: str, words: list[str]) -> None:
    assert texts_of(line) == words


@given(st.text(st.sampled_from("ab '\"\\#x2f")))
def test_words_say_where_they_stand(line: str) -> None:
    try:
        words = words_of(line)
    except ValueError:
        return
    for word in words:
        assert texts_of(line[word.start : word.end]) == [word.text]


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"))))
def test_words_in_strong_quotes_are_read_as_they_are(texts: list[str]) -> None:
    assert texts_of(" ".join(f"'{text}'" for text in texts)) == texts
    assert texts_of(shlex.join(texts)) == texts


DANGEROUS = re.compile(
    r"(?<![\w.-])(?:map(?:_\w+)?|env|lua\.\w+|table_\w+|set-map|del-map|add-acl|del-acl)\("
    r"|^\s*(?:stats|server|use-server|log|filter|errorfile|bind|source|dispatch)\b"
)
PIECES = (
    "http-request http-response set-header add-header return deny status 200 file lf-file errorfile string X-A if"
    " unless { } ! || -f -i -m -M -- str reg path /etc/passwd %[path] %[str(a) ,map(/etc/passwd) map( env(HOME)"
    " %[env(HOME)] ] ) ( , lower server stats acl a balance hash set-var(txn.a) set-var(txn.route) ' \" \\ \\x2d"
    " \\x6dap( f # % use-service lua.x option timeout".split()
)
FILES = frozenset(["-f", "-M", "file", "lf-file", "errorfile", "errorfiles", "use-service"])


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " "]))), st.sampled_from(ALLOWED))
@example([("http-request set-header X", " "), ("%[str(a),map(/etc/passwd)]", "")], "")
def test_no_line_that_safe_accepts_reads_anything_but_the_request(
    pieces: list[tuple[str, str]], beginning: str
) -> None:
    for line in ("".join(map("".join, pieces)), f"{beginning} {''.join(map(''.join, pieces))}"):
        try:
            check_lines(line)
        except ValueError:
            continue
        words = texts_of(line)
        assert not (words and DANGEROUS.search(words[0]))
        actions = {"set-header", "add-header", "replace-header", "string", "--", "status", "content-type", "hdr"}
        for number, word in enumerate(words):
            # A word may be the literal value of a header, of a body or of a comparison, or the name of an acl.
            before = words[:number]
            named = {"if", "unless"}.intersection(before) and before.count("{") == before.count("}")
            literal = actions.intersection(before) or "}" in words[number:] or words[0] in ("acl", "option") or named
            assert word not in FILES or literal, line
            is_format = words[0] != "acl"  # what an acl compares with is text
            assert not (is_format and re.search(r"%\{?[^%]*\[[^\]'\"]*(?:,map\(|env\()", word)), line


@pytest.mark.parametrize(
    "line",
    [
        "server x /run/a.sock",
        'server x "/run/a.sock"',
        r"server x \x2frun/a.sock",
        r"server x \x2Frun/a.sock",
        "server x ''/run/a.sock",
        "server x unix@a",
        "server x u'ni'x@a",
        r"server x \x75nix@a",
        "server x stream+unix@a",
        "server x quic+unix@a",
        "server x abns@1234-80",
        "server x abnsz@1234-80",
        "server x fd@3",
        "server x sockpair@3",
        "server x uxst@a",
        "server x uxdg@a",
        "server x ring@a",
        "server x rhttp@a",
        "server x '${HAPROXY_CLI}'",
        'server x "$HOME"',
        "server x 10.0.0.1:80 check addr /run/a",
        "server x 10.0.0.1:80 agent-addr unix@a",
        "server-template x 3 /run/a",
        "default-server addr /run/a",
        "default server x /run/a",
        "dispatch /run/a",
        "source /run/a",
        "log /dev/log local0",
        "log ring@a local0",
        "tcp-check connect addr /run/a",
        "http-check connect addr '${HAPROXY_CLI}'",
        "bind :80,/run/a",
        "nameserver x unix@a",
        "http-request set-header X abns@a",
        r"server x /run\x00a",
    ],
)
@pytest.mark.parametrize("level", ["safe", "all"])
def test_no_level_reaches_a_local_socket(line: str, level: Level) -> None:
    with pytest.raises(ValueError, match=r"."):
        require_network_addresses([line])
    with pytest.raises(InvalidService, match="backendExtra"):
        parse(WEB | {"backendExtra": line}, LISTS._replace(raw=level))


@pytest.mark.parametrize(
    "line",
    [
        "server x 10.0.0.1:80 check ssl verify required ca-file /etc/ca.pem crt /etc/a.pem",
        "server x [::1]:80",
        "server x a.org:80 resolvers docker",
        "log global",
        "log stdout format raw local0",
        "log 10.0.0.1:514 local0",
        "no log",
        "http-check send uri /health",
        "http-request set-header From me@a.org",
        "http-request set-header From halfd@a.org",
        "http-request set-path /a%[path]",
        "use-server x if { path_beg /a }",
        "",
    ],
)
def test_addresses_on_the_network_are_taken(line: str) -> None:
    require_network_addresses([line])


@pytest.mark.parametrize("host", ["/run/a.sock", "unix@a", "abns@a", "fd@3", "${HAPROXY_CLI}", "a.org/x", "a b"])
def test_an_outbound_hostname_is_no_socket(host: str) -> None:
    with pytest.raises(InvalidService, match="outboundHostname"):
        parse(WEB | {"outboundHostname": host})


READING = "X-A 1 if { path -f /run/secrets/x }"


@pytest.mark.parametrize(
    ("parameters", "lowest"),
    [
        ({"delReqHeader": "X-A"}, "none"),
        ({"delResHeader": "X-A"}, "none"),
        ({"delReqHeader": "X-A if { path /a }"}, "safe"),
        ({"delResHeader": "X-A if { status 200 }"}, "safe"),
        ({"delReqHeader": "X-A if { path -f /run/secrets/x }"}, "all"),
        ({"delResHeader": "X-A if { path -f /run/secrets/x }"}, "all"),
        ({"addReqHeader": READING}, "all"),
        ({"setReqHeader": READING}, "all"),
        ({"addResHeader": READING}, "all"),
        ({"setResHeader": READING}, "all"),
        ({"setReqHeader": 'X-A "%[src] 50%%" if { path /a }'}, "none"),
        ({"setReqHeader": "X-A %[env(HOME)]"}, "all"),
        ({"backendExtra": "balance leastconn"}, "safe"),
        ({"backendExtra": "stats enable"}, "all"),
        ({"templateBePath": "/tmp/be"}, "all"),
        ({"templateFePath": "/tmp/fe"}, "all"),
        ({"debug": "true", "debugFormat": "%ci %[src]"}, "none"),
        ({"debug": "true", "debugFormat": "%[str(a),map(/run/secrets/x)]"}, "all"),
        ({"reqMode": "tcp", "srcPort": "90", "serviceGroup": "g", "balanceGroup": "leastconn"}, "none"),
        ({"reqMode": "tcp", "srcPort": "90", "serviceGroup": "g", "balanceGroup": "hash str(a),map(/x)"}, "all"),
        ({"reqPathSearchReplace": "/a,%[env(HOME)]"}, "none"),
        ({"userDef": "%[env(HOME)]"}, "none"),
    ],
)
def test_which_level_a_parameter_needs(parameters: dict[str, str], lowest: Level) -> None:
    levels: tuple[Level, ...] = ("none", "safe", "all")
    for level in levels:
        defaults = LISTS._replace(raw=level)
        if levels.index(level) >= levels.index(lowest):
            parse(WEB | parameters, defaults)
        else:
            with pytest.raises(Untrusted, match=list(parameters)[-1]):
                parse(WEB | parameters, defaults)


def test_a_refusal_names_the_directive_and_what_is_allowed() -> None:
    with pytest.raises(Untrusted) as refused:
        parse(WEB | {"backendExtra": "balance leastconn\nstats admin if TRUE"}, LISTS._replace(raw="safe"))
    assert "`stats` needs FLOWPROXY_RAW_CONFIG=all; `safe` allows acl, balance" in str(refused.value)


def test_variables_that_our_configuration_decides_by_cannot_be_set() -> None:
    templates = Path(__file__).parents[3] / "templates"
    texts = "".join(path.read_text() for path in templates.rglob("*.j2"))
    used = {name for name in re.findall(r"txn\.([A-Za-z0-9_.]+)", texts) if name}
    assert used >= {"route", "host", "key"}
    assert {name for name in used if not OWN_VARIABLES.fullmatch(name)} == set()


@pytest.mark.parametrize(
    "line",
    [
        "http-request deny if { path -f /etc/shadow }",
        "http-request set-header X %[str(a),map_str(/etc/shadow)]",
        "http-request return status 200 lf-file /etc/shadow",
        'server x 10.0.0.1:80 ssl "ca-file" /etc/shadow',
        r"acl x path \x2df /etc/shadow",
        "errorfile 503 /etc/shadow",
        "filter spoe config /etc/shadow",
        'never "closed',
    ],
)
def test_lines_that_read_files_are_known(line: str) -> None:
    assert reads_files(line)


def test_lines_that_read_the_request_read_no_file() -> None:
    assert [line for line in ALLOWED if reads_files(line)] == ["acl old req.hdr(User-Agent),lower -m sub -- -f"]


@pytest.mark.parametrize("pattern", ["^/(a+)+b$", "a.*b.*c", "a.*b"])
def test_safe_takes_no_pattern_that_takes_long(pattern: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        check_lines(f"http-request set-path /x if {{ path_reg '{pattern}' }}")


def test_the_patterns_of_a_service_have_one_budget() -> None:
    line = "http-request set-path /x if { path_reg 'abcdefghijklmnopqrstuvwxyz' }"
    given = {"serviceName": "web", "servicePath": "/", "port": "80"}
    parse({**given, "backendExtra": line}, Defaults(raw="safe"))
    with pytest.raises(Untrusted, match="altogether"):
        parse({**given, "backendExtra": "\n".join([line] * 90)}, Defaults(raw="safe"))
