"""Which service gets a request.

Clients of Docker Flow Proxy see the same. Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

import pytest
from behaviour import Behaviour, Proxy, at, check, demo, title

ROUTING = [
    Behaviour("a path leads to the service", demo(), {"/demo/hello": "A & /demo/hello"}),
    Behaviour("a path is a beginning, in its case", demo(), {"/demoX": "A", "/DEMO": "503"}),
    Behaviour("what nobody asked for is our error page", {}, {"/nothing": "503 & Nothing answers"}),
    Behaviour("several paths", demo(servicePath="/p1,/p2"), {"/p1": "A", "/p2/x": "A", "/p3": "503"}),
    Behaviour("whole paths", demo(servicePath="/p1,/p2", pathType="path"), {"/p1": "A", "/p2": "A", "/p2/x": "503"}),
    Behaviour(
        "expressions, and the word path_reg is none",
        demo(servicePath="^/r[0-9]+,/zz", pathType="path_reg"),
        {"/r12": "A", "/a/zz": "A", "/path_reg": "503"},
    ),
    Behaviour(
        "the end of a path, in any case",
        demo(servicePath=".png", pathType="path_end -i"),
        {"/a.PNG": "A", "/png/a": "503"},
    ),
    Behaviour(
        "a path that is left out",
        demo(servicePathExclude="/demo/hello"),
        {"/demo/hello": "503", "/demo/hello/x": "503", "/demo/other": "A"},
    ),
    Behaviour(
        "what is left out falls to the next service, or to the default",
        {
            "svc": at(servicePathExclude="/demo/hello,/demo/deep"),
            "next": at("/demo/h", port="{B}"),
            "rest": at("/rest", isDefaultBackend="true", port="{B}"),
        },
        {"/demo/hello": "B", "/demo/deep": "B", "/demo/other": "A"},
    ),
    Behaviour(
        "a domain and a path",
        demo(serviceDomain="my-domain.com"),
        {"//my-domain.com/demo": "A", "//other.com/demo": "503", "//my-domain.com/other": "503"},
    ),
    Behaviour(
        "several domains",
        demo(serviceDomain="a.com,b.com"),
        {"//a.com/demo": "A", "//b.com/demo": "A", "//c.com/demo": "503"},
    ),
    Behaviour(
        "the case of a host and its port do not matter",
        demo(serviceDomain="any.com"),
        {"//ANY.com/demo": "A", "//any.com:8080/demo": "A", "//any.com./demo": "A"},
    ),
    Behaviour(
        "a domain is the whole host (differs: not its beginning)",
        demo(serviceDomain="any.com"),
        {"//any.com.evil.org/demo": "503", "//www.any.com/demo": "503"},
    ),
    Behaviour(
        "the beginning of a host, where it is asked for",
        demo(serviceDomain="any.com", serviceDomainAlgo="hdr_beg(host)"),
        {"//any.com.evil.org/demo": "A", "//www.any.com/demo": "503"},
    ),
    Behaviour(
        "hdr(host) is exact (differs: the port is ignored)",
        demo(serviceDomain="any.com", serviceDomainAlgo="hdr(host)"),
        {"//any.com/demo": "A", "//any.com:8080/demo": "A", "//x.any.com/demo": "503"},
    ),
    Behaviour(
        "the old name for a part of the host",
        demo(serviceDomain="al.com", serviceDomainMatchAll="true"),
        {"//www.al.com/demo": "A", "//al.com/demo": "A", "//wwwal.com/demo": "503"},
    ),
    Behaviour(
        "the end of a host",
        demo(serviceDomain="*domain-1"),
        {"//my-domain-1/demo": "A", "//domain-1/demo": "A", "//domain-11/demo": "503"},
    ),
    Behaviour(
        "a wildcard stays after another service came (differs)",
        {"svc": {"serviceDomain": "*.acme.com"}, "other": at("/other", port="{B}")},
        {"//x.acme.com/": "A", "//acme.com/": "503", "/other": "B"},
    ),
    Behaviour(
        "several wildcards at once (differs)",
        demo(serviceDomain="*.a.com,*.b.com"),
        {"//x.a.com/demo": "A", "//y.x.b.com/demo": "A", "//a.com/demo": "503", "//xa.com/demo": "503"},
    ),
    Behaviour(
        "two destinations with domains of their own",
        {
            "svc": {
                **{"servicePath.1": "/", "serviceDomain.1": "one.com", "port.1": "{A}"},
                **{"servicePath.2": "/", "serviceDomain.2": "two.com", "port.2": "{B}"},
            }
        },
        {"//one.com/": "A", "//two.com/": "B"},
    ),
    Behaviour("a domain without a path", {"svc": {"serviceDomain": "d.com"}}, {"//d.com/": "A", "//d.com/x": "A"}),
    Behaviour(
        "among equals the aclName decides, in its alphabet",
        {"svc2": at(aclName="acl2", port="{B}"), "svc1": at(aclName="acl1"), "the-last": at(port="{B}")},
        {"/demo": "A"},
    ),
    Behaviour(
        "the longer path wins (differs: not the alphabet)",
        {"o1": at("/x"), "zz": at("/x/deep", port="{B}")},
        {"/x/deep": "B", "/x": "A"},
    ),
    Behaviour("a root service goes last", {"a-root": at("/"), "z": at("/path", port="{B}")}, {"/path": "B", "/": "A"}),
    Behaviour(
        "two root services: the aclName decides",
        {"r2": at("/", aclName="b", port="{B}"), "r1": at("/", aclName="a")},
        {"/": "A"},
    ),
    Behaviour(
        "a well-known path goes before the domain that owns the rest",
        {
            "site": {"serviceDomain": "acme.com", "port": "{B}"},
            "wk": at("/.well-known/acme-challenge", serviceDomain="acme.com"),
        },
        {"//acme.com/.well-known/acme-challenge/t": "A", "//acme.com/": "B"},
    ),
    Behaviour(
        "a domain goes before a path for any host (differs: a path-only service does not)",
        {"a-root": {"serviceDomain": "acme.com"}, "o1": at("/x", port="{B}")},
        {"//acme.com/x": "A", "//other.com/x": "B"},
    ),
    Behaviour(
        "the default backend takes what matches nothing",
        demo(servicePath="/xxx", isDefaultBackend="true"),
        {"/anything": "A", "/xxx": "A"},
    ),
    Behaviour(
        "a header decides",
        demo(serviceHeader="X-Version:3"),
        {"/demo | X-Version: 3": "A", "/demo": "503", "/demo | X-Version: 4": "503"},
    ),
    Behaviour(
        "all headers must be there, in the case of their values",
        demo(serviceHeader="X-Version:3,name:Viktor"),
        {
            "/demo | X-Version: 3 | name: Viktor": "A",
            "/demo | X-Version: 3": "503",
            "/demo | X-Version: 3 | name: viktor": "503",
        },
    ),
    Behaviour(
        "a colon in a header's value is part of it (differs: the condition was lost)",
        demo(serviceHeader="X-A:b:c"),
        {"/demo | X-A: b:c": "A", "/demo": "503"},
    ),
    Behaviour(
        "each destination has its own header (differs)",
        {
            "svc": {
                "servicePath": "/demo",
                **{"serviceHeader.1": "X-V:1", "port.1": "{A}", "serviceHeader.2": "X-V:2", "port.2": "{B}"},
            }
        },
        {"/demo | X-V: 1": "A", "/demo | X-V: 2": "B", "/demo": "503"},
    ),
    Behaviour(
        "a part of the user agent, in any case",
        demo(userAgent="amiga,amstrad"),
        {"/demo | User-Agent: The AMIGA 500": "A", "/demo | User-Agent: amstrad": "A", "/demo | User-Agent: x": "503"},
    ),
    Behaviour(
        "who has no such agent reaches the destination without one",
        {
            "svc": {
                "servicePath": "/demo",
                **{"userAgent.1": "amiga", "port.1": "{A}", "servicePath.2": "/demo", "port.2": "{B}"},
            }
        },
        {"/demo | User-Agent: amiga": "A", "/demo | User-Agent: x": "B"},
    ),
    Behaviour("on one port only", demo(srcPort="{other}"), {"other:/demo": "A", "/demo": "503"}),
    Behaviour(
        "the port decides",
        {
            "svc": {
                "servicePath": "/demo",
                **{"srcPort.1": "{http}", "port.1": "{A}", "srcPort.2": "{other}", "port.2": "{B}"},
            }
        },
        {"/demo": "A", "other:/demo": "B"},
    ),
    Behaviour(
        "a port of the service for TLS",
        demo(srcPort="{http}", httpsPort="{B}", srcHttpsPort="{tls}"),
        {"/demo": "A", "https://a.org/demo": "B", "other:/demo": "503"},
    ),
    Behaviour(
        "a port for TLS alone",
        demo(port="", httpsPort="{B}", srcHttpsPort="{tls}"),
        {"/demo": "503", "https://a.org/demo": "B"},
    ),
    Behaviour(
        "a search without a replacement",
        demo(servicePath="/something", reqPathSearch="/something"),
        {"/something/demo": "A & A /demo"},
    ),
    Behaviour(
        "search and replace, in the old way",
        demo(servicePath="/something", reqPathSearch="/something/", reqPathReplace="/demo/"),
        {"/something/x": "A & A /demo/x"},
    ),
    Behaviour(
        "search and replace",
        demo(servicePath="/else", reqPathSearchReplace="/else/,/demo/"),
        {"/else/hello": "A & A /demo/hello"},
    ),
    Behaviour(
        "several pairs in their order, and the query stays",
        demo(servicePath="/a", reqPathSearchReplace="/a/,/b/:/b/c,/d"),
        {"/a/c?q=/a/": "A & A /d?q=/a/"},
    ),
    Behaviour(
        "a plus in the expression (differs: it was refused)",
        demo(servicePath="/v", reqPathSearchReplace="^/v[0-9]+/,/"),
        {"/v12/x": "A & A /x"},
    ),
    Behaviour(
        "a part of the path that the expression has found",
        demo(servicePath="/v", reqPathSearchReplace="^/v[0-9]+/(.*)$,/\\1"),
        {"/v12/x": "A & A /x"},
    ),
    Behaviour(
        "blanks and quotes in the expression are text",
        demo(servicePath="/z", reqPathSearchReplace='/a b\'s "c"(d)#,/ok'),
        {"/z": "A & A /z"},
    ),
    Behaviour(
        "the longer of two paths that begin alike (differs: not the first in the alphabet)",
        {"h": at("/h"), "hh": at("/hh", port="{B}")},
        {"/hh": "B", "/h": "A", "/hhh": "B"},
    ),
]

INDEXES = [
    Behaviour(
        "what has no index is the default of all that have one",
        {"svc": {"servicePath.1": "/one", "servicePath.2": "/two", "port.2": "{B}"}},
        {"/one": "A", "/two": "B"},
    ),
    Behaviour(
        "a gap is no end (differs: the rest was lost)",
        {"svc": {"servicePath.1": "/one", "servicePath.2": "/two", "servicePath.4": "/four"}},
        {"/one": "A", "/four": "A"},
    ),
    Behaviour(
        "more than ten (differs: eleven and twelve were lost)",
        {"svc": {f"servicePath.{number}": f"/path-{number}-" for number in range(1, 13)}},
        {"/path-1-": "A", "/path-10-": "A", "/path-12-": "A"},
    ),
    Behaviour(
        "with indexes, what has none is no destination",
        {"svc": {"servicePath": "/plain", "servicePath.1": "/one"}},
        {"/one": "A", "/plain": "503"},
    ),
    Behaviour(
        "defaults reach the indexed destinations",
        {
            "svc": {
                **{"allowedMethods": "GET", "httpsOnly": "true", "httpsRedirectCode": "307"},
                **{"servicePath.1": "/one", "servicePath.2": "/two", "httpsRedirectCode.2": "301"},
            }
        },
        {"PUT https://a.org/one": "403", "https://a.org/one": "A", "/one": "307", "/two": "301"},
    ),
    Behaviour(
        "httpsOnly for all cannot be taken back by one",
        {"svc": {"httpsOnly": "true", "servicePath.1": "/one", "httpsOnly.1": "false"}},
        {"/one": "302"},
    ),
]


@pytest.mark.parametrize("behaviour", [*ROUTING, *INDEXES], ids=title)
def test_what_clients_see(proxy: Proxy, behaviour: Behaviour) -> None:
    check(proxy, behaviour)
