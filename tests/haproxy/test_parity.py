"""What clients of Docker Flow Proxy see, line by line: the numbers are those of its list of behaviours.

Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from behaviour import Behaviour, Parameters, Proxy, check
from certificates import make_certificate
from controller import Tls, origins
from support import free_port


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One for all behaviours that need no variable of their own."""
    other = free_port()
    with running(tmp_path_factory, BIND_PORTS=str(other), RECONFIGURE_ATTEMPTS="1") as proxies:
        yield from proxies


class running:
    """A proxy with TLS, two origins and variables of its own."""

    def __init__(self, factory: pytest.TempPathFactory, **given: str) -> None:
        self._controller = Tls(factory.mktemp("parity") / "state")
        environment = {name: value for name, value in given.items() if not name.startswith("secret:")}
        for name in given.keys() - environment.keys():
            (self._controller.secrets / name.removeprefix("secret:")).write_text(given[name])
        (self._controller.certs / "a.org.pem").write_text(make_certificate("a.org")[0])
        self._environment = environment
        self._origins = origins()

    def __enter__(self) -> Iterator[Proxy]:
        start = self._origins.__enter__()
        ports = {
            "A": start("A").port,
            "B": start("B").port,
            "http": self._controller.traffic,
            "tls": self._controller.tls,
            "other": int(self._environment.get("BIND_PORTS") or 1),
        }
        self._controller.begin(**self._environment)
        yield_once = Proxy(self._controller, ports)
        return iter([yield_once])

    def __exit__(self, *_: object) -> None:
        self._controller.end()
        self._origins.__exit__(None, None, None)


def title(value: object) -> str:
    return value.title if isinstance(value, Behaviour) else "with"


def demo(**parameters: str) -> dict[str, Parameters]:
    """One service, on /demo unless it says otherwise."""
    dotted = {key.replace("_", "."): value for key, value in parameters.items()}
    return {"svc": {"servicePath": "/demo", **dotted}}


def at(path: str = "/demo", **parameters: str) -> Parameters:
    return {"servicePath": path, **{key.replace("_", "."): value for key, value in parameters.items()}}


ROUTING = [
    Behaviour("T031 a path leads to the service", demo(), {"/demo/hello": "A & /demo/hello"}),
    Behaviour("T032 a path is a beginning, in its case", demo(), {"/demoX": "A", "/DEMO": "503"}),
    Behaviour("T033 what nobody asked for is our error page", {}, {"/nothing": "503 & Nothing answers"}),
    Behaviour("T034 several paths", demo(servicePath="/p1,/p2"), {"/p1": "A", "/p2/x": "A", "/p3": "503"}),
    Behaviour(
        "T035 whole paths", demo(servicePath="/p1,/p2", pathType="path"), {"/p1": "A", "/p2": "A", "/p2/x": "503"}
    ),
    Behaviour(
        "T036 expressions, and the word path_reg is none",
        demo(servicePath="^/r[0-9]+,/zz", pathType="path_reg"),
        {"/r12": "A", "/a/zz": "A", "/path_reg": "503"},
    ),
    Behaviour(
        "T037 a path that is left out",
        demo(servicePathExclude="/demo/hello"),
        {"/demo/hello": "503", "/demo/other": "A"},
    ),
    Behaviour(
        "T038 what is left out falls to the next service, or to the default",
        {
            "svc": at(servicePathExclude="/demo/hello,/demo/deep"),
            "next": at("/demo/h", port="{B}"),
            "rest": at("/rest", isDefaultBackend="true", port="{B}"),
        },
        {"/demo/hello": "B", "/demo/deep": "B", "/demo/other": "A"},
    ),
    Behaviour(
        "T039 a domain and a path",
        demo(serviceDomain="my-domain.com"),
        {"//my-domain.com/demo": "A", "//other.com/demo": "503", "//my-domain.com/other": "503"},
    ),
    Behaviour(
        "T040 several domains",
        demo(serviceDomain="a.com,b.com"),
        {"//a.com/demo": "A", "//b.com/demo": "A", "//c.com/demo": "503"},
    ),
    Behaviour(
        "T041 the case of a host and its port do not matter",
        demo(serviceDomain="any.com"),
        {"//ANY.com/demo": "A", "//any.com:8080/demo": "A", "//any.com./demo": "A"},
    ),
    Behaviour(
        "T042 a domain is the whole host (differs: not its beginning)",
        demo(serviceDomain="any.com"),
        {"//any.com.evil.org/demo": "503", "//www.any.com/demo": "503"},
    ),
    Behaviour(
        "T042 the beginning of a host, where it is asked for",
        demo(serviceDomain="any.com", serviceDomainAlgo="hdr_beg(host)"),
        {"//any.com.evil.org/demo": "A", "//www.any.com/demo": "503"},
    ),
    Behaviour(
        "T043 hdr(host) is exact (differs: the port is ignored)",
        demo(serviceDomain="any.com", serviceDomainAlgo="hdr(host)"),
        {"//any.com/demo": "A", "//any.com:8080/demo": "A", "//x.any.com/demo": "503"},
    ),
    Behaviour(
        "T044 the old name for a part of the host",
        demo(serviceDomain="al.com", serviceDomainMatchAll="true"),
        {"//www.al.com/demo": "A", "//wwwal.com/demo": "503"},
    ),
    Behaviour(
        "T045 the end of a host",
        demo(serviceDomain="*domain-1"),
        {"//my-domain-1/demo": "A", "//domain-1/demo": "A", "//domain-11/demo": "503"},
    ),
    Behaviour(
        "T046 a wildcard stays after another service came (differs)",
        {"svc": {"serviceDomain": "*.acme.com"}, "other": at("/other", port="{B}")},
        {"//x.acme.com/": "A", "//acme.com/": "503", "/other": "B"},
    ),
    Behaviour(
        "T047 several wildcards at once (differs)",
        demo(serviceDomain="*.a.com,*.b.com"),
        {"//x.a.com/demo": "A", "//y.b.com/demo": "A", "//c.com/demo": "503"},
    ),
    Behaviour(
        "T048 two destinations with domains of their own",
        {
            "svc": {
                **{"servicePath.1": "/", "serviceDomain.1": "one.com", "port.1": "{A}"},
                **{"servicePath.2": "/", "serviceDomain.2": "two.com", "port.2": "{B}"},
            }
        },
        {"//one.com/": "A", "//two.com/": "B"},
    ),
    Behaviour("T049 a domain without a path", {"svc": {"serviceDomain": "d.com"}}, {"//d.com/": "A", "//d.com/x": "A"}),
    Behaviour(
        "T050 among equals the aclName decides, in its alphabet",
        {"svc2": at(aclName="acl2", port="{B}"), "svc1": at(aclName="acl1"), "the-last": at(port="{B}")},
        {"/demo": "A"},
    ),
    Behaviour(
        "T051 the longer path wins (differs: not the alphabet)",
        {"o1": at("/x"), "zz": at("/x/deep", port="{B}")},
        {"/x/deep": "B", "/x": "A"},
    ),
    Behaviour(
        "T052 a root service goes last", {"a-root": at("/"), "z": at("/path", port="{B}")}, {"/path": "B", "/": "A"}
    ),
    Behaviour(
        "T053 two root services: the aclName decides",
        {"r2": at("/", aclName="b", port="{B}"), "r1": at("/", aclName="a")},
        {"/": "A"},
    ),
    Behaviour(
        "T054 a well-known path goes before the domain that owns the rest",
        {
            "site": {"serviceDomain": "acme.com", "port": "{B}"},
            "wk": at("/.well-known/acme-challenge", serviceDomain="acme.com"),
        },
        {"//acme.com/.well-known/acme-challenge/t": "A", "//acme.com/": "B"},
    ),
    Behaviour(
        "T055 a domain goes before a path for any host (differs: a path-only service does not)",
        {"a-root": {"serviceDomain": "acme.com"}, "o1": at("/x", port="{B}")},
        {"//acme.com/x": "A", "//other.com/x": "B"},
    ),
    Behaviour(
        "T056 the default backend takes what matches nothing",
        demo(servicePath="/xxx", isDefaultBackend="true"),
        {"/anything": "A", "/xxx": "A"},
    ),
    Behaviour(
        "T057 a header decides",
        demo(serviceHeader="X-Version:3"),
        {"/demo | X-Version: 3": "A", "/demo": "503", "/demo | X-Version: 4": "503"},
    ),
    Behaviour(
        "T058 all headers must be there, in the case of their values",
        demo(serviceHeader="X-Version:3,name:Viktor"),
        {
            "/demo | X-Version: 3 | name: Viktor": "A",
            "/demo | X-Version: 3": "503",
            "/demo | X-Version: 3 | name: viktor": "503",
        },
    ),
    Behaviour(
        "T059 a colon in a header's value is part of it (differs: the condition was lost)",
        demo(serviceHeader="X-A:b:c"),
        {"/demo | X-A: b:c": "A", "/demo": "503"},
    ),
    Behaviour(
        "T060 each destination has its own header (differs)",
        {
            "svc": {
                "servicePath": "/demo",
                **{"serviceHeader.1": "X-V:1", "port.1": "{A}", "serviceHeader.2": "X-V:2", "port.2": "{B}"},
            }
        },
        {"/demo | X-V: 1": "A", "/demo | X-V: 2": "B", "/demo": "503"},
    ),
    Behaviour(
        "T061 a part of the user agent, in any case",
        demo(userAgent="amiga,amstrad"),
        {"/demo | User-Agent: The AMIGA 500": "A", "/demo | User-Agent: amstrad": "A", "/demo | User-Agent: x": "503"},
    ),
    Behaviour(
        "T062 who has no such agent reaches the destination without one",
        {
            "svc": {
                "servicePath": "/demo",
                **{"userAgent.1": "amiga", "port.1": "{A}", "servicePath.2": "/demo", "port.2": "{B}"},
            }
        },
        {"/demo | User-Agent: amiga": "A", "/demo | User-Agent: x": "B"},
    ),
    Behaviour("T063 on one port only", demo(srcPort="{other}"), {"other:/demo": "A", "/demo": "503"}),
    Behaviour(
        "T064 the port decides",
        {
            "svc": {
                "servicePath": "/demo",
                **{"srcPort.1": "{http}", "port.1": "{A}", "srcPort.2": "{other}", "port.2": "{B}"},
            }
        },
        {"/demo": "A", "other:/demo": "B"},
    ),
    Behaviour(
        "T065 T066 T067 a port of the service for TLS",
        demo(srcPort="{http}", httpsPort="{B}", srcHttpsPort="{tls}"),
        {"/demo": "A", "https://a.org/demo": "B", "other:/demo": "503"},
    ),
    Behaviour(
        "T068 a port for TLS alone",
        demo(port="", httpsPort="{B}", srcHttpsPort="{tls}"),
        {"/demo": "503", "https://a.org/demo": "B"},
    ),
    Behaviour(
        "T069 a search without a replacement",
        demo(servicePath="/something", reqPathSearch="/something"),
        {"/something/demo": "A & A /demo"},
    ),
    Behaviour(
        "T070 search and replace, in the old way",
        demo(servicePath="/something", reqPathSearch="/something/", reqPathReplace="/demo/"),
        {"/something/x": "A & A /demo/x"},
    ),
    Behaviour(
        "T071 search and replace",
        demo(servicePath="/else", reqPathSearchReplace="/else/,/demo/"),
        {"/else/hello": "A & A /demo/hello"},
    ),
    Behaviour(
        "T072 several pairs in their order, and the query stays",
        demo(servicePath="/a", reqPathSearchReplace="/a/,/b/:/b/c,/d"),
        {"/a/c?q=/a/": "A & A /d?q=/a/"},
    ),
    Behaviour(
        "T073 a plus in the expression (differs: it was refused)",
        demo(servicePath="/v", reqPathSearchReplace="^/v[0-9]+/,/"),
        {"/v12/x": "A & A /x"},
    ),
    Behaviour(
        "T074 old names of headers",
        demo(addHeader="X-Added one", setHeader="X-Set two"),
        {"/demo | X-Set: mine": "A & X-Added: one & X-Set: two"},
    ),
    Behaviour(
        "T075 the longer of two paths that begin alike (differs: not the first in the alphabet)",
        {"h": at("/h"), "hh": at("/hh", port="{B}")},
        {"/hh": "B", "/h": "A", "/hhh": "B"},
    ),
]

INDEXES = [
    Behaviour(
        "T076 what has no index is the default of all that have one",
        {"svc": {"servicePath.1": "/one", "servicePath.2": "/two", "port.2": "{B}"}},
        {"/one": "A", "/two": "B"},
    ),
    Behaviour(
        "T077 a gap is no end (differs: the rest was lost)",
        {"svc": {"servicePath.1": "/one", "servicePath.2": "/two", "servicePath.4": "/four"}},
        {"/one": "A", "/four": "A"},
    ),
    Behaviour(
        "T078 more than ten (differs: eleven and twelve were lost)",
        {"svc": {f"servicePath.{number}": f"/path-{number}-" for number in range(1, 13)}},
        {"/path-1-": "A", "/path-10-": "A", "/path-12-": "A"},
    ),
    Behaviour(
        "T079 with indexes, what has none is no destination",
        {"svc": {"servicePath": "/plain", "servicePath.1": "/one"}},
        {"/one": "A", "/plain": "503"},
    ),
    Behaviour(
        "T080 defaults reach the indexed destinations",
        {
            "svc": {
                **{"allowedMethods": "GET", "httpsOnly": "true", "httpsRedirectCode": "307"},
                **{"servicePath.1": "/one", "servicePath.2": "/two", "httpsRedirectCode.2": "301"},
            }
        },
        {"PUT https://a.org/one": "403", "https://a.org/one": "A", "/one": "307", "/two": "301"},
    ),
    Behaviour(
        "T081 httpsOnly for all cannot be taken back by one",
        {"svc": {"httpsOnly": "true", "servicePath.1": "/one", "httpsOnly.1": "false"}},
        {"/one": "302"},
    ),
]

REDIRECTS = [
    Behaviour(
        "T085 only TLS: a redirect with host, port, path and query",
        demo(httpsOnly="true"),
        {"//a.org:81/demo?x=y": "302 & location: https://a.org:81/demo?x=y", "https://a.org/demo": "A"},
    ),
    Behaviour("T086 its status", demo(httpsOnly="true", httpsRedirectCode="301"), {"/demo": "301"}),
    Behaviour("T087 plain HTTP denied", demo(denyHttp="true"), {"/demo": "403", "https://a.org/demo": "A"}),
    Behaviour(
        "T088 a redirect of what came by plain HTTP elsewhere",
        demo(redirectWhenHttpProto="true"),
        {"/demo | X-Forwarded-Proto: http": "302", "/demo | X-Forwarded-Proto: https": "A", "/demo": "A"},
    ),
    Behaviour(
        "T089 a redirect of what did not come by TLS elsewhere",
        demo(redirectUnlessHttpsProto="true", httpsRedirectCode="308"),
        {"/demo | X-Forwarded-Proto: https": "A", "/demo": "308", "/demo | X-Forwarded-Proto: http": "308"},
    ),
    Behaviour(
        "T090 such a redirect is the service's alone",
        {"svc": {"serviceDomain": "a.com", "redirectWhenHttpProto": "true"}, "other": at("/", port="{B}")},
        {"//a.com/ | X-Forwarded-Proto: http": "302", "//b.com/ | X-Forwarded-Proto: http": "B"},
    ),
    Behaviour(
        "T091 a domain that moved",
        {"svc": {"serviceDomain": "new.com", "redirectFromDomain": "old.com"}},
        {"//old.com/x?y=z": "301 & location: http://new.com/x?y=z", "//new.com/": "A"},
    ),
    Behaviour(
        "T092 a move without a domain is refused (differs: it redirected everything)",
        {"good": at("/good", port="{B}"), "svc": at(redirectFromDomain="old.com")},
        {"/good": "B", "/demo": "503", "//old.com/": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "T093 the service is told of TLS",
        demo(),
        {"https://a.org/demo": "A & X-Forwarded-Proto: https & X-Forwarded-For: 127.0.0.1"},
    ),
    Behaviour(
        "T094 a client certificate is required where no authority is set (differs: it answered 403)",
        demo(verifyClientSsl="true"),
        {"/demo": "503", "https://a.org/demo": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "T101 TLS towards the service, unchecked; without it such a service does not answer",
        {
            "svc": at("/outer", port="{tls}", sslVerifyNone="true", reqPathSearchReplace="/outer,/inner"),
            "plain": at("/plain", port="{tls}", reqPathSearchReplace="/plain,/inner"),
            "web": at("/inner", port="{B}"),
        },
        {"/outer/x": "B & B /inner/x", "/plain/x": "502"},
    ),
]

TREATMENT = [
    Behaviour(
        "T102 a header is added to the response",
        demo(addResHeader="my-res-header my-res-value"),
        {"/demo": "A & my-res-header: my-res-value"},
    ),
    Behaviour(
        "T103 a quoted value with semicolons",
        demo(setResHeader='X-Policy "max-age=1; include; preload"'),
        {"/demo": "A & X-Policy: max-age=1; include; preload"},
    ),
    Behaviour(
        "T104 a format string, and a condition",
        demo(addReqHeader="X-Where %[path] if { req.hdr(X-Ask) -m found }"),
        {"/demo/x | X-Ask: 1": "A & X-Where: /demo/x"},
    ),
    Behaviour(
        "T105 headers are deleted",
        demo(delReqHeader="X-Gone", addResHeader="X-Stays yes", delResHeader="Server"),
        {"/demo | X-Gone: hidden": "A & not hidden & X-Stays: yes & not server:"},
    ),
    Behaviour(
        "T106 methods that are allowed",
        demo(allowedMethods="GET,DELETE"),
        {"PUT /demo": "403", "/demo": "A", "DELETE /demo": "A"},
    ),
    Behaviour("T107 methods that are denied", demo(deniedMethods="GET"), {"/demo": "403", "PUT /demo": "A"}),
    Behaviour(
        "T108 both: allowed and not denied",
        demo(allowedMethods="GET,PUT", deniedMethods="PUT"),
        {"/demo": "A", "PUT /demo": "403", "DELETE /demo": "403"},
    ),
    Behaviour(
        "T110 compression of one service (differs: not of the others)",
        {
            "svc": at(compressionAlgo="gzip", compressionType="text/plain"),
            "other": at("/other", port="{B}"),
        },
        {"/other | Accept-Encoding: gzip": "B"},
    ),
    Behaviour("T111 a silent service", demo(timeoutServer="1"), {"/demo/wait": "504"}),
    Behaviour(
        "T112 ways to keep connections, old ones included",
        {
            "svc": at(connectionMode="http-server-close"),
            "tunnel": at("/tunnel", connectionMode="http-tunnel", port="{B}"),
            "force": at("/force", connectionMode="forceclose", port="{B}"),
        },
        {"/demo": "A", "/tunnel": "B", "/force": "B"},
    ),
    Behaviour(
        "T113 lines of configuration, with quotes and plus signs (differs: they were damaged)",
        demo(backendExtra='http-response set-header X-Extra "a+b & c"'),
        {"/demo": "A & X-Extra: a+b"},
    ),
    Behaviour(
        "T114 garbage is refused, and others go on",
        {"other": at("/other", port="{B}"), "svc": at(backendExtra="garbage")},
        {"/demo": "503", "/other": "B"},
        {"svc": 500},
    ),
    Behaviour(
        "T116 braces are text (differs: they stopped the API)",
        demo(setResHeader='X-Braces "{{ 7 }}"'),
        {"/demo": "A & X-Braces: {{ 7 }}"},
    ),
    Behaviour(
        "T120 a line end is refused (differs: it became configuration)",
        {"svc": at(setResHeader='X-A "b"\nhttp-request deny'), "other": at("/other", port="{B}")},
        {"/demo": "503", "/other": "B"},
        {"svc": 400},
    ),
]

# The crypt hash of "pass".
HASHED = "me:$6$salt$3aEJgflnzWuw1O3tr0IYSmhUY0cZ7iBQeBP392T7RXjLP3TKKu3ddIapQaCpbD4p9ioeGaVIjOHaym7HvCuUm0"
ME, YOU, WRONG = "Basic bWU6cGFzcw==", "Basic eW91OnBhOnNz", "Basic bWU6d3Jvbmc="  # me:pass, you:pa:ss, me:wrong
ACCESS = [
    Behaviour(
        "T121 users of a service",
        demo(users="me:pass"),
        {
            "/demo": '401 & www-authenticate: Basic realm="svcRealm"',
            f"/demo | Authorization: {WRONG}": "401",
            f"/demo | Authorization: {ME}": "A",
        },
    ),
    Behaviour(
        "T122 a destination that is open",
        {
            "svc": {
                **{"users": "me:pass", "servicePath.1": "/open", "ignoreAuthorization.1": "true"},
                "servicePath.2": "/closed",
            }
        },
        {"/open": "A", "/closed": "401"},
    ),
    Behaviour(
        "T123 an open destination sees what the client sent",
        demo(users="me:pass", ignoreAuthorization="true"),
        {f"/demo | Authorization: {ME}": f"A & Authorization: {ME}"},
    ),
    Behaviour(
        "T128 names without passwords (differs: nobody could be let in)",
        demo(users="user1,user2"),
        {"/demo": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "T129 a secret that is not there (differs: nobody could be let in)",
        demo(usersSecret="none"),
        {f"/demo | Authorization: {ME}": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "T130 a colon in a password; items that are none",
        demo(users="you:pa:ss,ww:,:asd"),
        {f"/demo | Authorization: {YOU}": "A", f"/demo | Authorization: {ME}": "401"},
    ),
    Behaviour(
        "T131 blanks and empty lines around users",
        demo(users=" me:pass ,\n\n you:pa:ss\n"),
        {f"/demo | Authorization: {ME}": "A", f"/demo | Authorization: {YOU}": "A"},
    ),
    Behaviour(
        "T132 a hash instead of a password",
        demo(
            users=HASHED,
            usersPassEncrypted="true",
        ),
        {f"/demo | Authorization: {ME}": "A", f"/demo | Authorization: {WRONG}": "401"},
    ),
    Behaviour(
        "T135 plus and ampersand in a password (differs: they were damaged)",
        demo(users="me:a+b&c"),
        {"/demo | Authorization: Basic bWU6YStiJmM=": "A"},
    ),
]

API = [
    Behaviour("T002 only a name", {"svc": {"port": ""}}, {}, {"svc": 409}),
    Behaviour("T003 no port", {"svc": at(port="")}, {"/demo": "503"}, {"svc": 400}),
    Behaviour("T004 tcp without srcPort", {"svc": {"reqMode": "tcp"}}, {}, {"svc": 400}),
    Behaviour("T005 tcp without port", {"svc": {"reqMode": "tcp", "srcPort": "1234", "port": ""}}, {}, {"svc": 400}),
    Behaviour(
        "T007 only indexed parameters",
        {"svc": {"servicePath.1": "/demo", "port.1": "{A}", "port": ""}},
        {"/demo": "A"},
    ),
    Behaviour(
        "T008 parameters of others are ignored",
        {"svc": {**at(), "serviceColor": "blue", "letsencrypt.host": "a.org", "nodeInfo": "[]"}},
        {"/demo": "A"},
    ),
    Behaviour("T009 only a domain", {"svc": {"serviceDomain": "d.com"}}, {"//d.com/any": "A"}),
    Behaviour("T010 a port for TLS alone is enough", {"svc": at(port="", httpsPort="{A}")}, {"/demo": "503"}),
    Behaviour(
        "T025 the case of parameters of a destination matters",
        {"svc": {"SERVICEPATH": "/demo"}},
        {"/demo": "503"},
        {"svc": 409},
    ),
    Behaviour("T026 the mode in capitals (differs: it was not routed)", demo(reqMode="HTTP"), {"/demo": "A"}),
    Behaviour("T027 no such mode", {"svc": {"reqMode": "bogus", "srcPort": "1234"}}, {}, {"svc": 400}),
    Behaviour(
        "T028 a name that does not resolve",
        {"svc": at(outboundHostname="nobody.invalid"), "other": at("/other", port="{B}")},
        {"/demo": "503", "/other": "B"},
        {"svc": 500},
    ),
    Behaviour("T206 nothing at all is the error page", {}, {"/dummy": "503 & Nothing answers"}),
    Behaviour("T153 no replicas is no route", {"svc": at(replicas="0")}, {"/demo": "503"}),
    Behaviour("T153 some replicas are", {"svc": at(replicas="1")}, {"/demo": "A"}),
    Behaviour("T154 no number of replicas", {"svc": at()}, {"/demo": "A"}),
    Behaviour(
        "T155 another host than the service's", {"no-such-name": at(outboundHostname="localhost")}, {"/demo": "A"}
    ),
]

EVERYWHERE = [*API, *ROUTING, *INDEXES, *REDIRECTS, *TREATMENT, *ACCESS]


@pytest.mark.parametrize("behaviour", EVERYWHERE, ids=title)
def test_what_clients_see(proxy: Proxy, behaviour: Behaviour) -> None:
    check(proxy, behaviour)


# A name that begins with "secret:" is a file of /run/secrets.
WITH_VARIABLES = [
    ({"HTTPS_ONLY": "true"}, Behaviour("T082 TLS for every service", demo(), {"/demo": "302"})),
    (
        {"SEPARATOR": "@"},
        Behaviour(
            "T083 T084 another separator, for paths and headers but not for users",
            demo(
                servicePath="/a@/b,c",
                serviceHeader="X-A:1@X-B:2,3",
                users="you:pa:ss,me:pass",
                addResHeader="X-One 1@X-Two 2",
            ),
            {f"/a | X-A: 1 | X-B: 2,3 | Authorization: {ME}": "A & X-One: 1 & X-Two: 2", "/a": "503", "/c": "503"},
        ),
    ),
    (
        {"COMPRESSION_ALGO": "gzip", "COMPRESSION_TYPE": "text/plain"},
        Behaviour("T109 compression for all", demo(), {"/demo": "A"}),
    ),
    (
        {"EXTRA_FRONTEND": "http-request deny if { path_beg /demo/deny },http-response set-header X-All yes"},
        Behaviour("T117 lines for the frontend", demo(), {"/demo/deny": "403", "/demo": "A & X-All: yes"}),
    ),
    (
        {"EXTRA_GLOBAL": "tune.http.maxhdr 120,tune.bufsize 32768"},
        Behaviour("T118 lines for the global section", demo(), {f"/demo | X-Long: {'x' * 20000}": "A"}),
    ),
    (
        {"USERS": "me:pass,you:pa:ss"},
        Behaviour(
            "T124 users of every service",
            demo(),
            {
                "/demo": '401 & realm="defaultRealm"',
                f"/demo | Authorization: {ME}": "A",
                f"/demo | Authorization: {YOU}": "A",
            },
        ),
    ),
    (
        {"USERS": "me:pass"},
        Behaviour(
            "T127 a name takes its password from the global users",
            demo(users="me"),
            {f"/demo | Authorization: {ME}": "A", f"/demo | Authorization: {YOU}": "401"},
        ),
    ),
    (
        {"USERS": "me:pass"},
        Behaviour(
            "T134 a service's users go before the global ones (differs: both had to let one in)",
            demo(users="you:pa:ss"),
            {f"/demo | Authorization: {YOU}": "A", f"/demo | Authorization: {ME}": "401"},
        ),
    ),
    (
        {"secret:dfp_users_mine": "me:pass,\nyou:pa:ss\n"},
        Behaviour(
            "T125 users of a secret",
            demo(usersSecret="mine"),
            {f"/demo | Authorization: {ME}": "A", f"/demo | Authorization: {YOU}": "A", "/demo": "401"},
        ),
    ),
    (
        {"secret:dfp_users_mine": "me:wrong,you:pa:ss,third:x"},
        Behaviour(
            "T126 names take their passwords from the secret, and nobody else is let in",
            demo(users="me:pass,you", usersSecret="mine"),
            {
                f"/demo | Authorization: {ME}": "A",
                f"/demo | Authorization: {WRONG}": "401",
                f"/demo | Authorization: {YOU}": "A",
                "/demo | Authorization: Basic dGhpcmQ6eA==": "401",
            },
        ),
    ),
    (
        {"USERS": HASHED, "USERS_PASS_ENCRYPTED": "true"},
        Behaviour(
            "T133 hashes for all, passwords for one",
            {"svc": at(users="you:pa:ss"), "other": at("/other", port="{B}")},
            {f"/demo | Authorization: {YOU}": "A", f"/other | Authorization: {ME}": "B", "/other": "401"},
        ),
    ),
    (
        {"secret:dfp_timeout_server": "1", "TIMEOUT_SERVER": "60"},
        Behaviour("T167 a secret goes before its variable", demo(), {"/demo/wait": "504"}),
    ),
    (
        {"FILTER_PROXY_INSTANCE_NAME": "true", "PROXY_INSTANCE_NAME": "mine"},
        Behaviour(
            "T156 services of other proxies",
            {
                "none": at("/none"),
                "theirs": at("/theirs", proxyInstanceName="theirs"),
                "ours": at("/ours", proxyInstanceName="MINE"),
            },
            {"/none": "503", "/theirs": "503", "/ours": "A"},
        ),
    ),
    (
        {"STATS_USER": "none", "STATS_PASS": "none"},
        Behaviour("T164 statistics for everybody", demo(), {"/admin?stats": "200", "/demo": "A"}),
    ),
    (
        {"STATS_USER": "me", "STATS_PASS": "pass"},
        Behaviour(
            "T164 statistics with a password",
            {},
            {"/admin?stats": "401", f"/admin?stats | Authorization: {ME}": "200 & Statistics Report"},
        ),
    ),
    (
        {"STATS_USER_ENV": "MY_USER", "MY_USER": "me", "STATS_PASS": "pass"},
        Behaviour("T166 a credential in another variable", {}, {f"/admin?stats | Authorization: {ME}": "200"}),
    ),
    ({}, Behaviour("T169 no statistics without credentials (differs: open at the start)", {}, {"/admin?stats": "503"})),
    (
        {"DO_NOT_RESOLVE_ADDR": "true"},
        Behaviour("T030 a name that need not resolve", demo(outboundHostname="nobody.invalid"), {"/demo": "503"}),
    ),
    (
        {"SKIP_ADDRESS_VALIDATION": "false", "RECONFIGURE_ATTEMPTS": "60"},
        Behaviour(
            "T029 a name must resolve at once",
            {"svc": at(outboundHostname="nobody.invalid"), "good": at("/good", outboundHostname="localhost")},
            {"/good": "A"},
            {"svc": 500},
        ),
    ),
    (
        {"DEFAULT_REQ_MODE": "http", "MODE": "swarm", "CERTS": "", "DISPLAY_CONFIG_ON_ERROR": "true"},
        Behaviour("Variables without a meaning do no harm", demo(), {"/demo": "A"}),
    ),
]


@pytest.mark.parametrize(
    ("environment", "behaviour"), WITH_VARIABLES, ids=lambda value: getattr(value, "title", "with")
)
def test_what_clients_see_with_variables(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], behaviour: Behaviour
) -> None:
    with running(tmp_path_factory, **environment) as proxies:
        check(next(proxies), behaviour)


def test_t115_a_good_version_goes_on_when_a_bad_one_comes(proxy: Proxy) -> None:
    """Differs: the good one was taken away."""
    try:
        assert proxy.put("svc", at()).status == 200
        assert proxy.put("svc", at(backendExtra="garbage")).status == 400
        assert proxy.matches("/demo", "A") is None
    finally:
        proxy.remove("svc")


def test_t013_t014_removing(proxy: Proxy) -> None:
    before = proxy.controller.status["reloads"]
    assert proxy.remove("nobody-knows-it").status == 200
    assert proxy.controller.status["reloads"] == before
    proxy.put("svc", at())
    assert proxy.remove("svc").status == 200
    assert proxy.matches("/demo", "503") is None


def test_t110_t109_a_compressed_answer_comes_to_who_takes_it(proxy: Proxy) -> None:
    try:
        proxy.put("svc", at(compressionAlgo="gzip", compressionType="text/plain"))
        proxy.put("other", at("/other"))
        assert fetched_encoding(proxy, "/demo") == "gzip"
        assert fetched_encoding(proxy, "/other") is None
    finally:
        proxy.remove("svc")
        proxy.remove("other")


def fetched_encoding(proxy: Proxy, path: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.controller.traffic, timeout=10)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    try:
        return connection.getresponse().getheader("Content-Encoding")
    finally:
        connection.close()
