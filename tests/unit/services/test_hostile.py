"""Whatever a service writes into its parameters, nothing of another one changes."""

from __future__ import annotations

import re

import pytest
from configurations import RENDERER
from hostile import COLLIDING, HOSTILE, LANGUAGE, VICTIMS, Hostile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import rounds

from flowproxy.errors import InvalidService, Rejected
from flowproxy.features import Defaults
from flowproxy.rendering.configuration import Configuration, map_text
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.ports import HttpNames, Listeners, compile_listeners
from flowproxy.routing.table import RouteTable
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse
from flowproxy.text.lines import Level, reads_files, require_network_addresses
from flowproxy.text.quoting import SECTIONS

OTHERS = [
    {"serviceName": "other", "servicePath": "/other", "port": "80"},
    {"serviceName": "a.first", "serviceDomain": "first.org,*.first.org", "port": "80", "users": "a:b"},
    {"serviceName": "zz.last", "servicePath": "/last", "serviceHeader": "X-Last:1", "port": "80"},
]
LOOKED_UP = "map_str(maps/values.map)"  # what the lines of a service read that Flowproxy writes itself


def render(*described: dict[str, str], level: Level = "all") -> Configuration:
    defaults = Defaults(raw=level)
    candidates = [Candidate(parse(given, defaults), created) for created, given in enumerate(described)]
    listening = compile_listeners([c for c in candidates if c.service.has_ports], RENDERER.http_ports(certified=False))
    return RENDERER.render(compile_routes(candidates), {}, (), listening)


ALONE = render(*OTHERS)


def attempt(evil: dict[str, str], level: Level) -> Configuration | InvalidService | None:
    """What comes of it; None where a template of a service's cannot be used."""
    try:
        return render(*OTHERS, evil, level=level)
    except InvalidService as error:
        return error
    except Rejected:
        return None


@pytest.mark.longer
@settings(max_examples=rounds(150, soak=2000), suppress_health_check=list(HealthCheck))
@given(HOSTILE, st.sampled_from(["safe", "all"]))
@example(Hostile("backendExtra", "\ndefaults\n  timeout server 1\n"), "all")
@example(Hostile("backendExtra", "server x u'ni'x@haproxy.sock"), "all")
@example(Hostile("aclName", "other"), "all")
@example(Hostile("users", "admin:a\nuser root insecure-password x"), "all")
@example(Hostile("users", "admin:\rpassword"), "all")
@example(Hostile("delReqHeader", "X-Evil if { path -f /etc/passwd }"), "safe")
def test_no_value_of_a_parameter_reaches_another_service(hostile: Hostile, level: Level) -> None:
    evil = {"serviceName": "evil", "servicePath": "/evil", "port": "80", hostile.parameter: hostile.value}
    found = attempt(evil, level)

    if isinstance(found, InvalidService):
        assert all(problem.parameter and problem.rule for problem in found.problems)
    elif found is not None:
        for name, section in ALONE.sections.items():
            assert found.sections[name] == section
        for stage, known in ALONE.maps.items():
            assert found.maps[stage].items() >= known.items()
        for entries in found.maps.values():
            lines = [line.split(" ") for line in map_text(entries).split("\n")[:-1]]
            assert {key: value for key, value in lines} == entries  # noqa: C416 - two words in each
        written = [section.text for name, section in found.sections.items() if name not in ALONE.sections]
        for text in written:
            if hostile.parameter == "backendExtra":  # elsewhere these are values of a header
                require_network_addresses(text.split("\n"))
            if level == "safe" and hostile.parameter in LANGUAGE:
                assert not any(map(reads_files, text.replace(LOOKED_UP, "").split("\n")))
        assert sections_in(found.head) - sections_in(ALONE.head) <= {"frontend tcpFE", "frontend tcpListen"}
        own = hostile.value if hostile.parameter == "aclName" else "evil"
        allowed = sections_in(f"backend evil\nbackend {own}-be\nuserlist {own}")
        allowed |= {"backend https", "userlist https"}
        unknown = set().union(*map(sections_in, written)) - allowed
        assert all(re.match(r"(backend|userlist) (https?|tcp|sni|group):", section) for section in unknown)


def compiled(*described: dict[str, str]) -> tuple[RouteTable, Listeners]:
    candidates = [Candidate(parse(given), created) for created, given in enumerate(described)]
    table = compile_routes(candidates)
    http = HttpNames(table, frozenset({"certified.org"}))
    return table, compile_listeners([c for c in candidates if c.service.has_ports], {80: False, 443: True}, http)


BEFORE, HEARD_BEFORE = compiled(*VICTIMS)


@pytest.mark.longer
@settings(max_examples=rounds(150, soak=2000), suppress_health_check=list(HealthCheck))
@given(COLLIDING)
def test_no_names_make_two_services_one(evil: dict[str, str]) -> None:
    try:
        table, heard = compiled(*VICTIMS, evil)
    except InvalidService:
        return

    assert evil["serviceName"] in table.parts
    names = [backend.name for backend in (*table.backends, *heard.backends)]
    assert len(names) == len(set(names))
    assert set(BEFORE.backends) <= set(table.backends)
    assert set(HEARD_BEFORE.backends) <= set(heard.backends)
    after = {listener.port: listener for listener in heard.listeners}
    for listener in HEARD_BEFORE.listeners:
        now = after[listener.port]
        assert (now.mode, now.default, now.destination) == (listener.mode, listener.default, listener.destination)
        assert [choice for choice in now.choices if choice.holder.service.service_name != evil["serviceName"]] == list(
            listener.choices
        )
        if listener.beside_http:
            assert all(choice.kind == "str" and now.log_format is None for choice in now.choices)
            assert not {"first.org", "x.first.org", "tls.first.org"}.intersection(
                value.lower() for choice in now.choices for value in choice.values
            )
    assert not any(conflict.winner == conflict.loser for conflict in (*table.conflicts, *heard.conflicts))


def sections_in(text: str) -> set[str]:
    """The beginnings of sections, and of what else steers how HAProxy reads the file; a line feed alone ends a line."""
    words = [line.replace("'", "").replace('"', "").split() for line in text.split("\n")]
    steering = [line for line in words if line and (line[0] in SECTIONS or line[0].startswith("."))]
    return {" ".join([line[0], *(word.partition("-")[0].partition("_")[0] for word in line[1:2])]) for line in steering}
