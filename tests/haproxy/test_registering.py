"""What a service must say to be routed.

Clients of Docker Flow Proxy see the same. Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

import pytest
from behaviour import Behaviour, Proxy, at, check, demo, title

API = [
    Behaviour("only a name", {"svc": {"port": ""}}, {}, {"svc": 409}),
    Behaviour("no port", {"svc": at(port="")}, {"/demo": "503"}, {"svc": 400}),
    Behaviour("tcp without srcPort", {"svc": {"reqMode": "tcp"}}, {}, {"svc": 400}),
    Behaviour("tcp without port", {"svc": {"reqMode": "tcp", "srcPort": "1234", "port": ""}}, {}, {"svc": 400}),
    Behaviour(
        "only indexed parameters",
        {"svc": {"servicePath.1": "/demo", "port.1": "{A}", "port": ""}},
        {"/demo": "A"},
    ),
    Behaviour(
        "parameters of others are ignored",
        {"svc": {**at(), "serviceColor": "blue", "letsencrypt.host": "a.org", "nodeInfo": "[]"}},
        {"/demo": "A"},
    ),
    Behaviour("only a domain", {"svc": {"serviceDomain": "d.com"}}, {"//d.com/any": "A"}),
    Behaviour("a port for TLS alone is enough", {"svc": at(port="", httpsPort="{A}")}, {"/demo": "503"}),
    Behaviour(
        "the case of parameters of a destination matters",
        {"svc": {"SERVICEPATH": "/demo"}},
        {"/demo": "503"},
        {"svc": 409},
    ),
    Behaviour("the mode in capitals (differs: it was not routed)", demo(reqMode="HTTP"), {"/demo": "A"}),
    Behaviour("no such mode", {"svc": {"reqMode": "bogus", "srcPort": "1234"}}, {}, {"svc": 400}),
    Behaviour(
        "a name that does not resolve",
        {"svc": at(outboundHostname="nobody.invalid"), "other": at("/other", port="{B}")},
        {"/demo": "503", "/other": "B"},
        {"svc": 500},
    ),
    Behaviour("nothing at all is the error page", {}, {"/dummy": "503 & Nothing answers"}),
    Behaviour("no replicas is no route", {"svc": at(replicas="0")}, {"/demo": "503"}),
    Behaviour("some replicas are", {"svc": at(replicas="1")}, {"/demo": "A"}),
    Behaviour("no number of replicas", {"svc": at()}, {"/demo": "A"}),
    Behaviour("another host than the service's", {"no-such-name": at(outboundHostname="localhost")}, {"/demo": "A"}),
]


@pytest.mark.parametrize("behaviour", [*API], ids=title)
def test_what_clients_see(proxy: Proxy, behaviour: Behaviour) -> None:
    check(proxy, behaviour)


def test_removing_takes_the_route_away_and_an_unknown_name_is_no_error(proxy: Proxy) -> None:
    before = proxy.controller.status["reloads"]
    assert proxy.remove("nobody-knows-it").status == 200
    assert proxy.controller.status["reloads"] == before
    proxy.put("svc", at())
    assert proxy.remove("svc").status == 200
    assert proxy.matches("/demo", "503") is None
