"""Headers that requests and responses get or lose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from controller import Answer, Controller
from featured import PLAIN, configuration, cost, lines
from support import eventually

from flowproxy.errors import InvalidService
from flowproxy.features import Change
from flowproxy.features.headers import fixed_value
from flowproxy.services.parse import deprecated, parse

Web = Callable[..., Answer]


def test_headers_with_formats_and_conditions_are_lines() -> None:
    given = {
        "addReqHeader": "X-Path %[path]",
        "setReqHeader": "X-A 1 if { path /a }",
        "addResHeader": "X-B %[src]",
        "setResHeader": "X-C %[src]",
        "delReqHeader": "X-D",
        "delResHeader": "X-E",
    }

    assert lines(given) == [
        "http-request add-header X-Path %[path]",
        "http-request set-header X-A 1 if { path /a }",
        "http-response add-header X-B %[src]",
        "http-response set-header X-C %[src]",
        "http-request del-header X-D",
        "http-response del-header X-E",
    ]


def test_fixed_values_are_looked_up() -> None:
    given = {"setReqHeader": "X-A 'one; two'", "addResHeader": "X-B 100%%"}

    assert lines(given) == [
        "http-request set-header X-A %[be_name,concat(|setReqHeader.1),map_str(maps/values.map),url_dec]",
        "http-request set-var(txn.flowproxy.addResHeader.1)"
        " be_name,concat(|addResHeader.1),map_str(maps/values.map),url_dec",
        "http-response add-header X-B %[var(txn.flowproxy.addResHeader.1)]",
    ]
    assert configuration(given).maps["values"] == {
        "web-be80_0|setReqHeader.1": "one%3B%20two",
        "web-be80_0|addResHeader.1": "100%25",
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-A 1", "1"),
        ('X-A "a  b"', "a  b"),
        (r"X-A it\'s", "it's"),
        ("X-A '${HOME}'", "${HOME}"),
        ("X-A a%%b", "a%b"),
        ("X-A é", "é"),
        ("X-A %[src]", None),
        ("X-A 100%", None),
        ("X-A a b", None),
        ("X-A 1 if { path /a }", None),
        ("X-A 'open", None),
        ("X-A ''", None),
        ("X-A " + "x" * 1001, None),
    ],
)
def test_a_value_is_fixed_where_haproxy_would_always_write_the_same(header: str, value: str | None) -> None:
    assert fixed_value(header) == value


@pytest.mark.parametrize("parameter", ["addReqHeader", "setReqHeader", "addResHeader", "setResHeader"])
def test_another_fixed_value_is_no_reload(parameter: str) -> None:
    assert cost({parameter: "X-A 1"}, {parameter: "X-A 2"}) is Change.MAP
    assert cost({parameter: "X-A 1"}, {parameter: "X-B 1"}) is Change.RELOAD
    assert cost({parameter: "X-A 1"}, {parameter: "X-A %[src]"}) is Change.RELOAD


def test_old_names_are_translated() -> None:
    given = {**PLAIN, "addHeader": "X-A 1", "setHeader": "X-B 1", "setReqHeader": "X-C 1"}
    service = parse(given)

    assert (service.add_req_header, service.set_req_header) == (("X-A 1",), ("X-C 1",))
    assert deprecated(given) == {"addHeader": "addReqHeader", "setHeader": "setReqHeader"}


@pytest.mark.parametrize("value", ["X-A", "X-A 1\nX-B 2", "Content-Length 5", "Transfer-Encoding chunked"])
def test_what_is_no_header_or_frames_messages_is_refused(value: str) -> None:
    with pytest.raises(InvalidService, match="addReqHeader"):
        parse({**PLAIN, "addReqHeader": value})


def test_values_change_without_a_reload(controller: Controller, web: Web) -> None:
    """Also those of a second service, for which a spare backend stands in."""
    given = {"setReqHeader": "X-Tenant first", "setResHeader": "X-Frame-Options 'DENY; #1 100%% é'"}
    web("one", **given, timeoutServer="30")
    reloads = controller.status["reloads"]

    web("one", **{**given, "setReqHeader": 'X-Tenant "se  cond"'}, timeoutServer="30")
    web("two", setReqHeader="X-Tenant ${HOME}", setResHeader="X-Frame-Options 'SAME; ORIGIN'", timeoutServer="31")
    one, two = controller.get("/one", X_Tenant="forged"), controller.get("/two", X_Tenant="forged")

    assert controller.status["reloads"] == reloads
    assert "x-tenant: se  cond\n" in one.text
    assert "forged" not in one.text + two.text
    assert "x-tenant: ${HOME}\n" in two.text
    assert one.headers["x-frame-options"] == "DENY; #1 100% \xc3\xa9"  # UTF-8, read as Latin 1
    assert two.headers["x-frame-options"] == "SAME; ORIGIN"


def test_without_its_entry_a_header_is_empty_until_it_is_repaired(controller: Controller, web: Web) -> None:
    web("three", setReqHeader="X-Role reader")
    controller.ask("clear map maps/values.map")

    assert "x-role: \n" in controller.get("/three", X_Role="admin").text
    eventually(lambda: "x-role: reader\n" in controller.get("/three").text, within=30)
