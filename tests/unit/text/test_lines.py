"""Lines of HAProxy configuration that a service writes: their words, their addresses, and the level they need."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_lines import ALLOWED

from flowproxy.errors import InvalidService, Untrusted
from flowproxy.features import Defaults
from flowproxy.services.parse import parse
from flowproxy.text.lines import Level, reads_files, require_network_addresses, texts_of, words_of

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
LISTS = Defaults(separator="|")


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
def test_words_know_their_position(line: str) -> None:
    try:
        words = words_of(line)
    except ValueError:
        return
    for word in words:
        assert texts_of(line[word.start : word.end]) == [word.text]


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"))))
def test_words_in_strong_quotes_are_read_literally(texts: list[str]) -> None:
    assert texts_of(" ".join(f"'{text}'" for text in texts)) == texts
    assert texts_of(shlex.join(texts)) == texts


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
def test_addresses_on_the_network_are_accepted(line: str) -> None:
    require_network_addresses([line])


@pytest.mark.parametrize("host", ["/run/a.sock", "unix@a", "abns@a", "fd@3", "${HAPROXY_CLI}", "a.org/x", "a b"])
def test_an_outbound_hostname_is_not_a_socket(host: str) -> None:
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
def test_each_parameter_needs_a_level(parameters: dict[str, str], lowest: Level) -> None:
    levels: tuple[Level, ...] = ("none", "safe", "all")
    for level in levels:
        defaults = LISTS._replace(raw=level)
        if levels.index(level) >= levels.index(lowest):
            parse(WEB | parameters, defaults)
        else:
            with pytest.raises(Untrusted, match=list(parameters)[-1]):
                parse(WEB | parameters, defaults)


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
def test_lines_that_read_files_are_recognized(line: str) -> None:
    assert reads_files(line)


def test_lines_that_read_only_the_request_read_no_file() -> None:
    assert [line for line in ALLOWED if reads_files(line)] == ["acl old req.hdr(User-Agent),lower -m sub -- -f"]
