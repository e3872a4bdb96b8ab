"""What happens to requests and responses on their way.

Clients of Docker Flow Proxy see the same. Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from behaviour import Behaviour, Proxy, at, check, demo, title
from controller import Controller, Origin

TREATMENT = [
    Behaviour(
        "a header is added to the response",
        demo(addResHeader="my-res-header my-res-value"),
        {"/demo": "A & my-res-header: my-res-value"},
    ),
    Behaviour(
        "old names of headers",
        demo(addHeader="X-Added one", setHeader="X-Set two"),
        {"/demo | X-Set: mine": "A & X-Added: one & X-Set: two"},
    ),
    Behaviour(
        "several headers are added to the request",
        demo(addReqHeader="X-One 1,X-Two 2"),
        {"/demo": "A & X-One: 1 & X-Two: 2"},
    ),
    Behaviour(
        "a header of the request is replaced by what a format string says",
        demo(setReqHeader="X-Where %[path]"),
        {"/demo/x | X-Where: mine": "A & X-Where: /demo/x & not mine"},
    ),
    Behaviour(
        "dollars, braces and quotes are text",
        demo(setReqHeader="X-A \"$HOME ${PATH} 'q'\""),
        {"/demo": "A & X-A: $HOME ${PATH} 'q'"},
    ),
    Behaviour(
        "a comma separates headers, also within quotes",
        {"svc": at(setHeader='X-A "one, two"'), "other": at("/other", port="{B}")},
        {"/demo": "503", "/other": "B"},
        {"svc": 400},
    ),
    Behaviour(
        "a value with blanks needs quotes",
        {"svc": at(setReqHeader="X-A {{ 7 * 7 }}"), "other": at("/other", port="{B}")},
        {"/demo": "503", "/other": "B"},
        {"svc": 400},
    ),
    Behaviour(
        "a quoted value with semicolons",
        demo(setResHeader='X-Policy "max-age=1; include; preload"'),
        {"/demo": "A & X-Policy: max-age=1; include; preload"},
    ),
    Behaviour(
        "a format string, and a condition",
        demo(addReqHeader="X-Where %[path] if { req.hdr(X-Ask) -m found }"),
        {"/demo/x | X-Ask: 1": "A & X-Where: /demo/x", "/demo/x": "A & not X-Where"},
    ),
    Behaviour(
        "headers are deleted",
        demo(delReqHeader="X-Gone", addResHeader="X-Stays yes", delResHeader="Server"),
        {"/demo | X-Gone: hidden": "A & not hidden & X-Stays: yes & not server:"},
    ),
    Behaviour(
        "methods that are allowed",
        demo(allowedMethods="GET,DELETE"),
        {"PUT /demo": "403", "/demo": "A", "DELETE /demo": "A"},
    ),
    Behaviour("methods that are denied", demo(deniedMethods="GET"), {"/demo": "403", "PUT /demo": "A"}),
    Behaviour(
        "both: allowed and not denied",
        demo(allowedMethods="GET,PUT", deniedMethods="PUT"),
        {"/demo": "A", "PUT /demo": "403", "DELETE /demo": "403"},
    ),
    Behaviour("a silent service", demo(timeoutServer="1"), {"/demo/wait": "504"}),
    Behaviour(
        "ways to keep connections, old ones included",
        {
            "svc": at(connectionMode="http-server-close"),
            "tunnel": at("/tunnel", connectionMode="http-tunnel", port="{B}"),
            "force": at("/force", connectionMode="forceclose", port="{B}"),
            "keep": at("/keep", connectionMode="http-keep-alive", port="{B}"),
        },
        {"/demo": "A", "/tunnel": "B", "/force": "B", "/keep": "B"},
    ),
    Behaviour(
        "lines of configuration, with quotes and plus signs (differs: they were damaged)",
        demo(backendExtra='http-request set-header X-Asked "a + b"\nhttp-response set-header X-Extra "a+b & c"'),
        {"/demo": "A & X-Asked: a + b & X-Extra: a+b"},
    ),
    Behaviour(
        "garbage is refused, and others go on",
        {
            "other": at("/other", port="{B}"),
            "svc": at(backendExtra="garbage"),
            "third": at("/third", port="{B}"),
        },
        {"/demo": "503", "/other": "B", "/third": "B"},
        {"svc": 400},
    ),
    Behaviour(
        "braces are text (differs: they stopped the API)",
        demo(setResHeader='X-Braces "{{ 7 }}"'),
        {"/demo": "A & X-Braces: {{ 7 }}"},
    ),
    Behaviour(
        "a line end is refused (differs: it became configuration)",
        {"svc": at(setResHeader='X-A "b"\nhttp-request deny'), "other": at("/other", port="{B}")},
        {"/demo": "503", "/other": "B"},
        {"svc": 400},
    ),
]


@pytest.mark.parametrize("behaviour", [*TREATMENT], ids=title)
def test_what_clients_see(proxy: Proxy, behaviour: Behaviour) -> None:
    check(proxy, behaviour)


def test_the_log_names_the_new_name_of_a_parameter_once(
    controller: Controller, origin: Callable[[str], Origin]
) -> None:
    controller.start()
    web = {"servicePath": "/", "port": str(origin("web").port), "outboundHostname": "127.0.0.1"}
    controller.reconfigure("web", **web, addHeader="X-A one")
    controller.reconfigure("web", **web, addHeader="X-A two")

    log = controller.log.read_text()
    assert log.count("deprecated parameter") == 1
    assert "instead=addReqHeader" in log


def test_a_good_version_keeps_serving_when_a_bad_one_comes(proxy: Proxy) -> None:
    """Docker Flow Proxy took the good one away."""
    assert proxy.put("svc", at(setReqHeader="X-Version good")).status == 200
    refused = proxy.put("svc", at(backendExtra="garbage"))

    assert refused.status == 400
    assert "garbage" in refused.json["Message"]
    assert proxy.matches("/demo", "A & X-Version: good") is None


def test_compression_of_one_service_leaves_the_others_alone(proxy: Proxy) -> None:
    """Docker Flow Proxy compressed the answers of all of them."""
    proxy.put("svc", at(compressionAlgo="gzip", compressionType="text/plain"))
    proxy.put("other", at("/other"))

    assert proxy.encoding("/demo") == "gzip"
    assert proxy.encoding("/other") is None


def test_a_cookie_keeps_a_client_with_its_server(proxy: Proxy) -> None:
    proxy.put("svc", at(sessionType="sticky-server"))
    cookie = proxy.seen("/demo").headers["set-cookie"]

    assert cookie.startswith("svc=")
    assert "127.0.0.1" not in cookie
