"""What a service may have HAProxy do for one request, however hostile the two are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from controller import Answer, Controller, Origin, fetch

from flowproxy.text.patterns.cost import steps_of
from flowproxy.text.patterns.limits import MOST_STEPS

Origins = Callable[[str], Origin]
OUT = {"outboundHostname": "127.0.0.1"}
MOST_MS = 10.0

# The most that is accepted of each kind. No path of the test has capitals, so nothing matches.
WORST = {
    "patterns without a domain": {
        "pathType": "path_reg",
        "servicePath": ",".join(f"b[^/][cd{chr(65 + i)}]" for i in range(9)),
        "servicePathExclude": ",".join(f"a[ab][cd{chr(65 + i)}]" for i in range(9)),
    },
    "repeated groups without a domain": {"pathType": "path_reg", "servicePath": "^(/|ab|a)+[x-z]$,^(/|ab|a)*[v-w]$"},
    "quadratic patterns": {
        "pathType": "path_reg",
        "serviceDomain": "evil.org",
        "servicePath": ",".join(f"^/[^/]*a[^/]*[x-z{chr(65 + i)}]$" for i in range(2)),
    },
    "quadratic patterns anywhere in the path": {
        "pathType": "path_reg",
        "serviceDomain": "evil.org",
        "servicePath": ",".join(f"a[^/]*[x-z{chr(65 + i)}]$" for i in range(2)),
    },
    "two times quadratic patterns": {
        "pathType": "path_reg",
        "serviceDomain": "evil.org",
        "servicePath": "a[^/]*(?:z[ab]*[x-z]|y[ab]*[u-w])$",
    },
    "repeated groups": {
        "pathType": "path_reg",
        "serviceDomain": "evil.org",
        "servicePath": ",".join(f"(?:ab|a|/)+[x-z{chr(65 + i)}]$" for i in range(3)),
    },
    "excluded patterns": {
        "pathType": "path_reg",
        "serviceDomain": "evil.org",
        "servicePath": "^/",
        "servicePathExclude": ",".join(f"^/.*a.*[x-z{chr(65 + i)}]" for i in range(2)),
    },
    "rewrites": {
        "serviceDomain": "evil.org",
        "servicePath": "/",
        "reqPathSearchReplace": ":".join([*(f"a[^/]*[x-z{chr(65 + i)}]$,/" for i in range(2)), *["^/a,/aa"] * 28]),
    },
    "user agents": {"servicePath": "/", "userAgent": ",".join("a" * 9 + chr(98 + i % 20) for i in range(200))},
    "parts of paths": {
        "pathType": "path_sub -i",
        "servicePath": ",".join("a" * 9 + chr(99 + i % 20) for i in range(200)),
    },
    "patterns of hosts": {
        "serviceDomainAlgo": "hdr_reg(host)",
        "serviceDomain": ",".join(f"(?:ab|a)+[x-z{chr(65 + i)}]$" for i in range(2)),
    },
}
TEXTS = {
    "thirty letters": "a" * 30,
    "as much as a pattern takes": "ab" * 511,
    "letters": "a" * 1022,
    "a long one": "ab" * 2047,
    "too long": "ab" * 4000,
    "one that has another normal form": "%61" + "a" * 1018,
    "a long one that has another normal form": "%61b" + "ab" * 2044,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    controller = Controller(tmp_path_factory.mktemp("patterns") / "state")
    try:
        yield controller.start(DO_NOT_RESOLVE_ADDR="true")
    finally:
        controller.end()


def put(controller: Controller, name: str, given: dict[str, str]) -> Answer:
    return fetch(controller.port, f"/v1/reconfigure?{urlencode({'serviceName': name, **given, **OUT})}")


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_service_that_is_accepted_costs_a_request_less_than_ten_milliseconds(
    running: Controller, kind: str
) -> None:
    # HAProxy itself answers, after all rules: what a server takes is not measured.
    answer = put(running, "evil", {"port": "80", "backendExtra": "http-request return status 200", **WORST[kind]})
    assert answer.status == 200, answer.text
    number = 0

    def quickest(text: str, host: str) -> float:
        """In milliseconds; HAProxy remembers what it compared, so that no two requests are the same. Other tests run
        beside this one, so a request may be slow for no fault of the pattern's."""
        nonlocal number
        taken = [MOST_MS]
        while len(taken) < 30 and min(taken) >= MOST_MS:
            number += 1
            path = f"/{text[: -len(str(number))]}{number}"
            headers = {"Host": host, "User-Agent": text}
            begun = time.perf_counter()
            fetch(running.traffic, path, headers=headers)
            taken.append((time.perf_counter() - begun) * 1000)
        return min(taken)

    for what, text in TEXTS.items():
        for host in ("evil.org", "other.org", text[:4000]):
            assert quickest(text, host) < MOST_MS, (what, host[:20])
    assert running.status["haproxy"]["pid"]


ATTACKS = {
    "nested repeats": {"pathType": "path_reg", "servicePath": "^/(a+)+b$"},
    "many of them": {"pathType": "path_reg", "servicePath": ",".join(["^/(a|a|a|a)*[bcA0]$"] * 320)},
    "excluded": {"pathType": "path_reg", "servicePath": "^/", "servicePathExclude": "(a*)*c"},
    "of a host": {"serviceDomainAlgo": "hdr_reg(host)", "serviceDomain": "(a|a)*b"},
    "of a server name": {
        "reqMode": "sni",
        "srcPort": "19998",
        "pathType": "req_ssl_sni -i -m reg",
        "servicePath": "(a|a)*b",
    },
    "of a host on a tcp port": {
        "reqMode": "tcp",
        "srcPort": "19998",
        "serviceDomainAlgo": "hdr_reg(host)",
        "serviceDomain": "(a|a)*b",
    },
    "loops in a row": {"pathType": "path_reg", "serviceDomain": "evil.org", "servicePath": "^/.*.*.*.*x"},
    "a huge repeat": {"pathType": "path_reg", "servicePath": "^/(a?){1000}b"},
    "a back-reference": {"pathType": "path_reg", "servicePath": r"^/(a*)*\1b"},
    "a limit of their own": {"pathType": "path_reg", "servicePath": "(*LIMIT_MATCH=4000000000)a"},
    "a rewrite": {"servicePath": "/", "reqPathSearchReplace": "(a+)+b,/"},
    "many rewrites": {"servicePath": "/", "reqPathSearchReplace": ":".join(["^/(a|b)*c,/"] * 120)},
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_an_attack_is_refused_with_its_parameter(running: Controller, kind: str) -> None:
    answer = put(running, "evil", {"port": "80", **ATTACKS[kind]})
    message = answer.json["Message"]

    assert answer.status == 400, message
    assert any(f"{name}: " in message for name in ATTACKS[kind]), message
    assert len(message) < 600
    assert running.get("/" + "a" * 30).status == 503


ORDINARY = {
    "^/v[0-9]+/": ("/v12/x", "/vx/"),
    r"\.(png|jpe?g|gif)$": ("/a/b.jpeg", "/a/b.jpe"),
    "^/(en|de|fr)(/|$)": ("/de", "/dee"),
    "^/api/(v1|v2)/.*": ("/api/v2/", "/api/v3/"),
    "/[^/]+/edit$": ("/x/y/edit", "/edit"),
    "^/(?:[a-z]+/)*secret": ("/a/b/secret", "/A/secret"),
    "^/(.+)/(.+)$": ("/a/b", "/ab"),
    "^/(?!api/)[a-z]+$": ("/web", "/api/"),
    "^/[[:digit:]]{4}-[0-9a-f]{2}$": ("/2026-ff", "/2026-fg"),
    "(?i)^/Camel": ("/cAMEL", "/came"),
}


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_patterns_go_on_working(running: Controller, origin: Origins, pattern: str) -> None:
    given = {"pathType": "path_reg", "servicePath": pattern, "port": str(origin("web").port)}
    answer = fetch(running.port, f"/v1/reconfigure?{urlencode({'serviceName': 'evil', **given, **OUT})}")
    matching, other = ORDINARY[pattern]

    assert answer.status == 200, answer.text
    assert running.get(matching).status == 200
    assert running.get(other).status == 503


def test_a_path_that_is_too_long_to_be_compared_is_not_let_past_an_exclusion(
    running: Controller, origin: Origins
) -> None:
    given = {"pathType": "path_reg", "servicePath": "^/", "servicePathExclude": "^/(?:[a-z]+/)*secret"}
    assert put(running, "evil", {**given, "port": str(origin("web").port)}).status == 200

    assert running.get("/a/secre").status == 200
    for rounds in (1, 100, 500, 1000, 3000):
        assert running.get("/" + "a/" * rounds + "secret").status == 503


def test_patterns_of_many_services_share_a_budget_and_the_oldest_keep_theirs(
    controller: Controller, origin: Origins
) -> None:
    controller.start(DO_NOT_RESOLVE_ADDR="true")
    port = str(origin("web").port)
    patterns = [["^/mine{}/", *(f"[ab][bc]{{}}x{number}[yz]" for number in range(19))]] * 100
    listed = [[pattern.format(number) for pattern in some] for number, some in enumerate(patterns)]
    fitting = MOST_STEPS // steps_of(listed[0])
    for number in range(fitting + 1):
        given = {"pathType": "path_reg", "servicePath": ",".join(listed[number]), "port": port}
        assert put(controller, f"s{number:02}", given).status == 200

    assert controller.get("/mine0/").status == 200
    assert controller.get(f"/mine{fitting}/").status == 503
    (conflict,) = controller.api(f"/v1/services/s{fitting:02}").json["conflicts"]
    assert "regular expressions" in conflict["route"]
    controller.api("/v1/remove", serviceName="s00")
    assert controller.get(f"/mine{fitting}/").status == 200


def test_explain_says_what_it_cannot_evaluate_and_never_blocks(controller: Controller, origin: Origins) -> None:
    controller.start()
    port = str(origin("web").port)
    look = {"pathType": "path_reg", "servicePath": "^/(?!api/)a", "serviceDomain": "look.org", "port": port}
    assert put(controller, "look", look).status == 200
    slow = {"pathType": "path_reg", "servicePath": "^/.*a.*[x-z]", "serviceDomain": "slow.org", "port": port}
    assert put(controller, "slow", slow).status == 200
    assert put(controller, "rest", {"servicePath": "/", "port": port}).status == 200

    found = controller.api("/v1/explain", url="http://look.org/abc").json
    assert found["route"]["service"] == "rest"
    (unevaluated,) = found["unevaluated"]
    assert "pattern ^/(?!api/)a could not be evaluated here" in unevaluated
    assert "unevaluated" in found["reason"]
    other = controller.api("/v1/explain", url="http://other.org/abc").json
    assert other["route"]["service"] == "rest"
    assert other["unevaluated"] == []
    begun = time.perf_counter()
    assert controller.api("/v1/explain", url="http://slow.org/" + "a" * 1000).json["route"]["service"] == "rest"
    assert controller.api("/v1/explain", url="http://slow.org/ax").json["route"]["service"] == "slow"
    assert time.perf_counter() - begun < 1
    assert controller.api("/v1/explain", url="http://slow.org/" + "a" * 9000).status == 400
