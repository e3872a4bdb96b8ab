"""Redirects, and how TLS is asked for.

Clients of Docker Flow Proxy see the same. Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

import pytest
from behaviour import Behaviour, Proxy, at, check, demo, title

REDIRECTS = [
    Behaviour(
        "only TLS: a redirect with host, port, path and query",
        demo(httpsOnly="true"),
        {"//a.org:81/demo?x=y": "302 & location: https://a.org:81/demo?x=y", "https://a.org/demo": "A"},
    ),
    Behaviour(
        "its status",
        demo(httpsOnly="true", httpsRedirectCode="301"),
        {"//a.org:81/demo?x=y": "301 & location: https://a.org:81/demo?x=y"},
    ),
    Behaviour("plain HTTP denied", demo(denyHttp="true"), {"/demo": "403", "https://a.org/demo": "A"}),
    Behaviour(
        "a redirect of what came by plain HTTP elsewhere",
        demo(redirectWhenHttpProto="true"),
        {
            "//a.org:81/demo?b=c | X-Forwarded-Proto: http": "302 & location: https://a.org:81/demo?b=c",
            "/demo | X-Forwarded-Proto: https": "A",
            "/demo": "A",
        },
    ),
    Behaviour(
        "a redirect of what did not come by TLS elsewhere",
        demo(redirectUnlessHttpsProto="true", httpsRedirectCode="308"),
        {
            "//a.org:81/demo?b=c": "308 & location: https://a.org:81/demo?b=c",
            "/demo | X-Forwarded-Proto: https": "A",
            "/demo | X-Forwarded-Proto: http": "308",
        },
    ),
    Behaviour(
        "such a redirect is the service's alone",
        {"svc": {"serviceDomain": "a.com", "redirectWhenHttpProto": "true"}, "other": at("/", port="{B}")},
        {"//a.com/ | X-Forwarded-Proto: http": "302", "//b.com/ | X-Forwarded-Proto: http": "B"},
    ),
    Behaviour(
        "a domain that moved",
        {"svc": {"serviceDomain": "new.com", "redirectFromDomain": "old.com,*.old.com"}},
        {
            "//old.com/x?y=z": "301 & location: http://new.com/x?y=z",
            "//www.old.com/x?y=z": "301 & location: http://new.com/x?y=z",
            "//new.com/": "A",
        },
    ),
    Behaviour(
        "a move without a domain is refused (differs: it redirected everything)",
        {"good": at("/good", port="{B}"), "svc": at(redirectFromDomain="old.com")},
        {"/good": "B", "/demo": "503", "//old.com/": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "the service is told of TLS",
        demo(),
        {"https://a.org/demo": "A & X-Forwarded-Proto: https & X-Forwarded-For: 127.0.0.1"},
    ),
    Behaviour(
        "a client certificate is required where no authority is set (differs: it answered 403)",
        demo(verifyClientSsl="true"),
        {"/demo": "503", "https://a.org/demo": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "TLS towards the service, unchecked; without it such a service does not answer",
        {
            "svc": at("/outer", port="{tls}", sslVerifyNone="true", reqPathSearchReplace="/outer,/inner"),
            "plain": at("/plain", port="{tls}", reqPathSearchReplace="/plain,/inner"),
            "web": at("/inner", port="{B}"),
        },
        {"/outer/x": "B & B /inner/x", "/plain/x": "502"},
    ),
]


@pytest.mark.parametrize("behaviour", [*REDIRECTS], ids=title)
def test_what_clients_see(proxy: Proxy, behaviour: Behaviour) -> None:
    check(proxy, behaviour)
