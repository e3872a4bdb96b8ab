"""What is hidden from those who read answers, logs and errors."""

from __future__ import annotations

import time

import pytest

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse
from flowproxy.text.secrets import header_value, is_secret, shown_value, without_secrets, without_secrets_of

CANARY = "swordfish-4711"
LINES = [
    f"user admin password {CANARY}",
    f"user admin insecure-password {CANARY} groups x",
    f"stats auth admin:{CANARY}",
    f"http-request set-header Authorization {CANARY}",
    f'http-request set-header "Authorization" "Basic {CANARY}"',
    f"http-request set-header Author'iz'ation 'Basic {CANARY}' if {{ path /a }}",
    rf"http-request set-header \x41uthorization {CANARY}",
    rf"http-request set-header Authorization Basic\ {CANARY}",
    f"http-request add-header Proxy-Authorization {CANARY}",
    f"http-request add-header X-Api-Key {CANARY}",
    f"http-request add-header X-Auth-Token {CANARY}",
    f"http-request add-header X-Client-Secret {CANARY}",
    f"http-request set-header Cookie session={CANARY}",
    f"http-request replace-header Authorization .* {CANARY}",
    f'http-request set-header X-Upstream "Bearer {CANARY}"',
    f"http-request set-var(txn.api_key) str({CANARY})",
    f"http-request deny unless {{ req.hdr(X-Token) -m str {CANARY} }}",
    f'http-request deny unless {{ req.hdr("Authorization") -i -- "Bearer {CANARY}" }}',
    f"http-request deny unless {{ var(txn.token) -m str {CANARY} }}",
    f"http-request deny unless {{ req.cook(sid) {CANARY} }}",
    f"http-request deny unless {{ url_param(access_token) {CANARY} }}",
    f"acl known req.hdr(x-access-key) {CANARY} other",
    f"http-request set-header X-Signed %[path,hmac(sha256,{CANARY}),hex]",
    f"http-request redirect location https://admin:{CANARY}@a.org/",
    f"http-request redirect location /a set-cookie id={CANARY}",
    f"http-request return status 200 hdr Set-Cookie id={CANARY}",
    f"http-check send meth GET uri / hdr Authorization {CANARY}",
    f"option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ {CANARY}",
    f'tcp-check send "AUTH {CANARY}\\r\\n"',
    f"balance roundrobin # the password is: {CANARY}",
    f'http-request set-header Authorization "{CANARY}',
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_configuration_hides_its_secret(line: str) -> None:
    said = without_secrets(f"before\n    {line}\nafter")

    assert CANARY not in said
    assert "(hidden)" in said
    assert said.startswith("before\n    ")
    assert said.endswith("\nafter")


@pytest.mark.parametrize("line", LINES[:-1])
def test_a_complaint_of_haproxy_about_a_line_hides_its_secret(line: str) -> None:
    if "#" in line:
        pytest.skip("HAProxy says nothing of comments")
    said = without_secrets_of(line, f"error in <{CANARY}> and '{CANARY}' of 'Basic {CANARY}': id={CANARY}")
    assert CANARY not in said
    assert said.startswith("error in")


@pytest.mark.parametrize(
    "line",
    [
        "http-request set-header X-Version 3",
        "http-request del-header Authorization if { path /a }",
        "http-request auth realm webRealm unless { http_auth(web-users) }",
        "    http-request set-var(txn.route) base,map_beg(maps/exact.map)",
        "    http-request set-var-fmt(txn.key2) .%[var(txn.host),field(-1,.,2)]%[path] if a",
        "    http-request set-var(txn.route) var(txn.key),map_beg(maps/exact.map)",
        "http-request deny if { req.hdr(Authorization) -m found }",
        "backend auth-be8080",
        "    server auth.1.abc 10.0.0.1:8080 check",
        "    cookie auth insert indirect nocache",
        "# service auth-token",
        "option http-keep-alive",
        "timeout http-keep-alive 15s",
    ],
)
def test_values_that_are_not_secret_are_shown(line: str) -> None:
    assert without_secrets(line) == line


@pytest.mark.parametrize(
    ("parameter", "value", "told"),
    [
        ("users", "admin:x", "(hidden)"),
        ("Users", "admin:x", "(hidden)"),
        ("users.2", "admin:x", "(hidden)"),
        ("serviceCert", "x", "(hidden)"),
        ("password", "x", "(hidden)"),
        ("apiKey", "x", "(hidden)"),
        ("groupToken", "x", "(hidden)"),
        ("usersSecret", "mine", "mine"),
        ("usersPassEncrypted", "true", "true"),
        ("ignoreAuthorization", "true", "true"),
        ("sessionType", "sticky-server", "sticky-server"),
        ("serviceHeader", "X-Version:3,Authorization:Bearer x", "X-Version:3,Authorization:(hidden)"),
        ("serviceHeader", "X-Version:3", "X-Version:3"),
        ("setReqHeader", "Authorization Basic x", "Authorization (hidden) (hidden)"),
        ("setreqheader", "X-A 1,X-Api-Key x if { path /a }", "X-A 1,X-Api-Key (hidden) if { path /a }"),
        ("addResHeader", "X-A one", "X-A one"),
        ("servicePath", "/token,/auth", "/token,/auth"),
    ],
)
def test_parameters_hide_their_secrets(parameter: str, value: str, told: str) -> None:
    assert shown_value(parameter, value) == told


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Cookie", "Set-Cookie", "x_auth_token", "X-Secret"])
def test_secret_headers_are_recognized_by_the_words_of_their_names(name: str) -> None:
    assert header_value(name, "x") == "(hidden)"


@pytest.mark.parametrize("name", ["Host", "X-Monkey", "X-Author", "Accept", "Keep-Alive", "X-Passenger"])
def test_other_headers_are_shown(name: str) -> None:
    assert header_value(name, "x") == "x"
    assert not is_secret(name)


@pytest.mark.parametrize(
    "piece", ["x", "a.", "token ", "Authorization ", "://", "hmac(", "hdr(", "'", "basic ", "aes_", " "]
)
def test_long_values_are_read_quickly(piece: str) -> None:
    long = piece * (200_000 // len(piece))
    begun = time.process_time()
    for parameter in ("serviceHeader", "setReqHeader", "backendExtra", "userDef"):
        shown_value(parameter, long)
    without_secrets_of(f"http-request set-header Authorization {long}", "error in 'x'")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("serviceHeader", f"Authorization Bearer {CANARY}"),
        ("serviceHeader", f"'Authorization' \"{CANARY}\""),
        ("setReqHeader", f"X-Api-Key= {CANARY}"),
        ("setReqHeader", f"Authorization Basic {CANARY}\x01"),
        ("backendExtra", f'"http-request" set-header Authorization "{CANARY}"'),
        ("backendExtra", f"global Authorization {CANARY}"),
        ("backendExtra", rf"'http-request' set-header \x41uthorization {CANARY}"),
        ("users", f"admin:{CANARY}\x01"),
        ("outboundHostname", f"http://admin:{CANARY}@a.org"),
    ],
)
def test_an_error_does_not_quote_a_secret(parameter: str, value: str) -> None:
    with pytest.raises(InvalidService) as refused:
        parse({"serviceName": "web", "servicePath": "/", "port": "80", parameter: value})
    assert parameter in str(refused.value)
    assert CANARY not in str(refused.value)
