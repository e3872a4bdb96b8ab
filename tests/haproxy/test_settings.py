"""What clients see of settings that hold for all services.

Clients of Docker Flow Proxy see the same. Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from behaviour import Behaviour, Proxy, at, check, demo, title
from controller import Controller, Origin, Running, Tls, fetch
from support import eventually, free_port

Origins = Callable[[str], Origin]
ME = "Basic bWU6cGEgc3M="  # me:pa ss

WITH_SETTINGS = [
    (
        {"HTTPS_ONLY": "true"},
        Behaviour("TLS for every service", demo(), {"/demo": "302"}),
    ),
    (
        {"SEPARATOR": "@"},
        Behaviour(
            "another separator, for paths and headers but not for users",
            demo(
                servicePath="/a@/b,c",
                serviceHeader="X-A:1@X-B:2,3",
                users="you:pa:ss,me:pa ss",
                addResHeader="X-One 1@X-Two 2",
            ),
            {f"/a | X-A: 1 | X-B: 2,3 | Authorization: {ME}": "A & X-One: 1 & X-Two: 2", "/a": "503", "/c": "503"},
        ),
    ),
    (
        {"EXTRA_FRONTEND": "http-request deny if { path_beg /demo/deny },http-response set-header X-All yes"},
        Behaviour("lines for the frontend", demo(), {"/demo/deny": "403", "/demo": "A & X-All: yes"}),
    ),
    (
        {"EXTRA_GLOBAL": "tune.http.maxhdr 120,tune.bufsize 32768"},
        Behaviour("lines for the global section", demo(), {f"/demo | X-Long: {'x' * 20000}": "A"}),
    ),
    (
        {"secret:dfp_timeout_server": "1", "TIMEOUT_SERVER": "60"},
        Behaviour("a secret goes before its variable", demo(), {"/demo/wait": "504"}),
    ),
    (
        {"STATS_USER": "none", "STATS_PASS": "none"},
        Behaviour("statistics for everybody", demo(), {"/admin?stats": "200", "/demo": "A"}),
    ),
    (
        {"STATS_USER": "me", "STATS_PASS": "pa ss"},
        Behaviour(
            "statistics with a password",
            {},
            {"/admin?stats": "401", f"/admin?stats | Authorization: {ME}": "200 & Statistics Report"},
        ),
    ),
    (
        {
            **{"STATS_USER_ENV": "MY_USER", "MY_USER": "me", "STATS_PASS_ENV": "MY_PASS", "MY_PASS": "pa ss"},
            "STATS_URI": "/st",
        },
        Behaviour(
            "credentials of the statistics in other variables, and another path",
            {},
            {"/st": "401", f"/st | Authorization: {ME}": "200", f"/admin?stats | Authorization: {ME}": "503"},
        ),
    ),
    (
        {},
        Behaviour("no statistics without credentials (differs: open at the start)", {}, {"/admin?stats": "503"}),
    ),
    (
        {"DO_NOT_RESOLVE_ADDR": "true"},
        Behaviour("a name that need not resolve", demo(outboundHostname="nobody.invalid"), {"/demo": "503"}),
    ),
    (
        {"SKIP_ADDRESS_VALIDATION": "false", "RECONFIGURE_ATTEMPTS": "60"},
        Behaviour(
            "a name must resolve at once",
            {"svc": at(outboundHostname="nobody.invalid"), "good": at("/good", outboundHostname="localhost")},
            {"/good": "A"},
            {"svc": 500},
        ),
    ),
    (
        {"DEFAULT_REQ_MODE": "http", "MODE": "swarm", "CERTS": "", "DISPLAY_CONFIG_ON_ERROR": "true"},
        Behaviour("variables without a meaning do no harm", demo(), {"/demo": "A"}),
    ),
]


@pytest.mark.parametrize(("settings", "behaviour"), WITH_SETTINGS, ids=title)
def test_what_clients_see_with_settings(
    running_tls: Running[Tls], ports: dict[str, int], settings: dict[str, str], behaviour: Behaviour
) -> None:
    check(Proxy(running_tls(**settings), ports), behaviour)


def test_compression_for_all(running_tls: Running[Tls], ports: dict[str, int]) -> None:
    proxy = Proxy(running_tls(COMPRESSION_ALGO="gzip", COMPRESSION_TYPE="text/html text/plain"), ports)
    proxy.put("svc", at())

    assert proxy.encoding("/demo") == "gzip"


def test_only_services_of_this_instance_are_taken(running_tls: Running[Tls], ports: dict[str, int]) -> None:
    proxy = Proxy(running_tls(FILTER_PROXY_INSTANCE_NAME="true", PROXY_INSTANCE_NAME="mine"), ports)
    services = {
        "none": at("/none"),
        "theirs": at("/theirs", proxyInstanceName="theirs"),
        "ours": at("/ours", proxyInstanceName="MINE"),
    }
    check(proxy, Behaviour("", services, {"/none": "503", "/theirs": "503", "/ours": "A"}))

    assert proxy.put("ours", at("/ours", proxyInstanceName="theirs")).status == 200
    assert proxy.matches("/ours", "503") is None


def test_the_statistics_page_on_a_port_of_its_own(controller: Controller) -> None:
    port = free_port()
    controller.start(STATS_USER="none", STATS_PASS="none", STATS_PORT=str(port), STATS_URI="/st")

    assert fetch(port, "/st").status == 200
    assert controller.get("/st").status == 503


def test_debug_logs_every_request_with_the_headers_that_are_asked_for(controller: Controller, origin: Origins) -> None:
    controller.start(DEBUG="true", CAPTURE_REQUEST_HEADER="X-A:15,X-B:10")
    controller.reconfigure("web", servicePath="/", port=str(origin("web").port), outboundHostname="127.0.0.1")
    controller.get("/logged-request", X_A="captured-one", X_B="captured-two")

    line = eventually(
        lambda: [said for said in controller.log.read_text().splitlines() if "GET /logged-request" in said]
    )
    assert "{captured-one|captured-t}" in line[0]
