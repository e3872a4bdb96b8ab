"""Whose lines HAProxy complains about."""

from __future__ import annotations

from configurations import described

from flowproxy.haproxy.verdicts import verdict
from flowproxy.rendering.configuration import Configuration
from flowproxy.rendering.parts import Part, Text


def complaint(line: int, text: str = "unknown keyword 'x'") -> str:
    return f"[ALERT]    (7) : config : parsing [/state/candidate-1/haproxy.cfg:{line}] : {text}\n"


def line_of(configuration: Configuration, text: str) -> int:
    return configuration.text().split("\n").index(text) + 1


def test_every_line_of_a_backend_is_its_services() -> None:
    configuration = described([{"serviceName": name, "servicePath": f"/{name}"} for name in ("a", "b")])
    text = configuration.with_services()

    assert text.text == configuration.text()
    for name in "ab":
        first = line_of(configuration, f"backend {name}-be80_0")
        assert [text.service_at(number) for number in (first - 1, first)] == [name, name]
    refused = verdict(complaint(line_of(configuration, "backend b-be80_0")), text)
    assert (str(refused), refused.services) == ("service b : unknown keyword 'x'", frozenset("b"))


def test_rules_conditions_and_ports_in_the_frontends_are_their_services() -> None:
    excluded = ",".join(f"/x/{number}" for number in range(20))
    configuration = described(
        [
            {"serviceName": "h", "servicePath": "/h", "serviceHeader": "X-A:1"},
            {"serviceName": "x", "servicePath": "/x", "servicePathExclude": excluded},
        ]
    )
    text = configuration.with_services()
    found = {text.service_at(n): line for n, line in enumerate(text.text.split("\n"), 1) if "use_backend" in line}

    assert "h-be80_0" in found["h"]
    assert "x-be80_0" in found["x"]
    assert {text.service_at(n) for n, line in enumerate(text.text.split("\n"), 1) if "acl route-" in line} == {"", "x"}


def test_a_comment_of_a_service_blames_no_other() -> None:
    own = {"serviceName": "a", "servicePath": "/a", "backendExtra": "# service b\nx y"}
    configuration = described([own, {"serviceName": "b", "servicePath": "/b"}])
    refused = verdict(complaint(line_of(configuration, "    x y")), configuration.with_services())

    assert refused.services == {"a"}
    assert refused.lines == ("    x y",)


def test_lines_of_nobody_are_named_by_their_number() -> None:
    text = Text("global\n    nonsense\n", (Part(3, 4, "a"),))
    refused = verdict(complaint(2), text)

    assert (str(refused), refused.services) == ("line 2 : unknown keyword 'x'", frozenset())


def test_what_may_quote_a_file_is_not_repeated_where_the_line_may_be_a_services() -> None:
    line = "    http-request deny if { src -f /etc/shadow }"
    said = complaint(1, "'root:secret' is no address")

    for parts in ((Part(1, 1, "a"),), None):
        assert "secret" not in str(verdict(said, Text(line, parts)))
    assert "secret" in str(verdict(said, Text(line, ())))


def test_summaries_are_left_out_and_repetitions_too() -> None:
    said = complaint(1) + complaint(1) + "[ALERT] (7) : config : Error(s) found in configuration file : x\n"

    assert str(verdict(said, Text("x", (Part(1, 1, "a"),)))) == "service a : unknown keyword 'x'"
    assert str(verdict("", Text(""))) == "no reason given"
