"""Values that somebody might write into a parameter to get at others, for every parameter that there is."""

from __future__ import annotations

from typing import NamedTuple

from certificates import make_certificate
from hypothesis import strategies as st

from flowproxy.features import FEATURES
from flowproxy.services.parse import DEPRECATED, DESTINATION_PARAMETERS, SERVICE_PARAMETERS

EXAMPLES = {
    public: str((group.model_fields[name].examples or [])[0])
    for feature in FEATURES
    for group in (feature.service, feature.destination)
    if group
    for public, name in group.by_public_name().items()
}
# What each parameter takes; here what must not meet the routes of others, or needs something else of ours.
PLAIN = {
    **EXAMPLES,
    **dict.fromkeys(["addHeader", "setHeader"], "X-Evil 1"),
    "srcPort": "19990",
    "srcHttpsPort": "19991",
    "servicePath": "/evil",
    "servicePathExclude": "/evil/not",
    "pathType": "path_beg",
    "serviceDomain": "evil.org",
    "redirectFromDomain": "old.evil.org",
    "outboundHostname": "127.0.0.1",
    "reqPathSearchReplace": "/evil,/good",
    "reqPathSearch": "/evil",
    "reqPathReplace": "/good",
    "addResHeader": "X-Evil 1 if { path /evil }",
    "setReqHeader": 'X-Evil "%[src]"',
    "serviceCert": make_certificate("evil.org", key="rsa1024")[0],  # Python reads it, HAProxy refuses it
}
NASTY = [
    *("\n", "\r", "\0", "\t", "\x0b", "\x1c", "\x85", "\u2028", " ", "  ", "#", "'", '"', "\\", "`", "\\n", "'\"'"),
    *(
        "${HOME}",
        "$HOME",
        '"${HOME}"',
        "%[env(HOME)]",
        "%[",
        "%]",
        "%",
        "%%",
        "%{+Q}o",
        "{{ 1 }}",
        "{% raw %}",
        "]",
        ")",
        "}",
    ),
    "\nbackend other-be80_0\n",
    "\ndefaults\n  timeout server 1\n",
    "\nglobal\n  daemon\n",
    "\nfrontend services\n",
    "\n.if 0\n",
    "\n.endif\n",
    "\n  http-request deny\n",
    "\\\n",
    " if FALSE",
    " unless { always_true }",
    " || TRUE",
    " -f /etc/passwd",
    "; show stat",
    " if { path -f /etc/passwd }",
    r" if { path \x2df /etc/passwd }",
    "%[str(a),map(/etc/passwd)]",
    "%[str('a'),\"ma\"'p'(/etc/passwd)]",
    "\nstats admin if TRUE",
    "\nhttp-request set-map(maps/exact.map) other.org/ evil",
    "\nhttp-request return status 200 content-type text/plain lf-file /etc/passwd",
    "\nhttp-request set-var(txn.route) str(other-be80)",
    "\nserver x /run/haproxy.sock",
    "\nserver x u'ni'x@haproxy.sock",
    "\nserver x '${HAPROXY_CLI}'",
    "\ntcp-check connect addr /run/haproxy.sock",
    "abns@local-80",
    "<<\n",
    "-- ",
    "?",
    "/../",
    "é",
    "😀",
    "\ud7ff",
    "*",
    "*.",
    ",",
    ":",
    ".",
    "use_backend other-be80_0",
    "spare:1",
    "tcp:other:80_0",
    "group:evil:19990",
    "other",
    "no-route",
    "route-found",
    "x" * 100_000,
    "/" * 3000,
    "a," * 20_000,
]
# What makes HAProxy work hard, or its configuration grow: on their own they are valid values of many parameters.
NASTY += [
    "^/(a+)+b$",
    "(a|a)*b",
    "(.*a){20}",
    "^/.*.*.*.*x",
    "(a?){300}b",
    "(*LIMIT_MATCH=4000000000)a",
    r"(a)\1",
    ",".join(["^/(a|a|a|a)*[bcA0]$"] * 320),
    ",".join(f"/evil{i}.*[x-z]" for i in range(60)),
    ",".join("/" + "a" * i for i in range(1, 300)),
    ",".join(f"evil{i}" for i in range(250)),
    ",".join(f"#evil{i}" for i in range(100)),
    ",".join(f"*.evil{i}.org" for i in range(100)),
    ":".join(["^/(a|b)*c,/"] * 120),
    "a:$6$rounds=8000000$salt$hash",
    ",".join(f"user{i}:$1$salt$hash" for i in range(2_000)),
    "Transfer-Encoding chunked",
    "Content-Length 5",
    "\nhttp-request del-header . -m reg",
    "\nhttp-after-response set-status 101",
    "-----BEGIN A-----" * 5_000,
]
# Another spelling of the name is no other name.
SPELLED = {"servicename", "SERVICENAME", "ServiceName"}
PARAMETERS = sorted(
    {*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS, *DEPRECATED, *SPELLED} - {"serviceName", "distribute"}
)
# Where HAProxy's language may be written.
LANGUAGE = frozenset(name for feature in FEATURES for name in feature.raw) | {"addHeader", "setHeader"}


class Hostile(NamedTuple):
    parameter: str
    value: str

    def __repr__(self) -> str:
        return f"{self.parameter}={self.value[:200]!r} ({len(self.value)} characters)"


def value_of(parameter: str) -> st.SearchStrategy[str]:
    """One that is plain, with something nasty somewhere, or nasty alone."""
    plain, nasty = PLAIN.get(parameter, "evil"), st.one_of(st.sampled_from(NASTY), st.text(max_size=30))
    return st.one_of(
        nasty,
        nasty.map(lambda text: plain + text),
        nasty.map(lambda text: text + plain),
        st.tuples(nasty, st.integers(0, len(plain))).map(lambda pair: plain[: pair[1]] + pair[0] + plain[pair[1] :]),
        st.tuples(nasty, nasty).map(lambda pair: plain + pair[0] + plain + pair[1]),
    )


HOSTILE = st.sampled_from(PARAMETERS).flatmap(lambda name: st.builds(Hostile, st.just(name), value_of(name)))

# Names that two services might come to, whatever their modes are; VICTIMS have some of them.
_NAMES = ["other", "https-other", "db", "tls", "dbs", "evil", "first.org", "tcp", "group", "other-be80", "spare"]
_HOSTS = ["first.org", "x.first.org", "tls.first.org", "tls.org", "TLS.org", "*", "other"]
VICTIMS = [
    {"serviceName": "other", "servicePath": "/other", "port": "80", "httpsPort": "81", "aclName": "other"},
    {"serviceName": "a.first", "serviceDomain": "first.org,*.first.org", "port": "80"},
    {"serviceName": "db", "reqMode": "tcp", "srcPort": "19990", "port": "80"},
    {"serviceName": "one", "reqMode": "tcp", "srcPort": "19991", "serviceGroup": "dbs", "port": "80"},
    {"serviceName": "tls", "reqMode": "sni", "srcPort": "19992", "servicePath": "tls.org", "port": "80"},
    {"serviceName": "tls2", "reqMode": "sni", "srcPort": "443", "servicePath": "tls.org", "port": "80"},
]
COLLIDING = st.fixed_dictionaries(
    {"serviceName": st.sampled_from(["evil", "https-other", "a"]), "port": st.sampled_from(["80", "81"])},
    optional={
        "aclName": st.sampled_from(_NAMES),
        "servicename": st.sampled_from(_NAMES),
        "serviceGroup": st.sampled_from(_NAMES),
        "groupToken": st.sampled_from(_NAMES),
        "reqMode": st.sampled_from(["http", "tcp", "sni"]),
        "srcPort": st.sampled_from(["19990", "19991", "19992", "443", "80"]),
        "httpsPort": st.sampled_from(["80", "81"]),
        "servicePath": st.sampled_from([*_HOSTS, "/other"]),
        "serviceDomain": st.sampled_from(_HOSTS),
        "pathType": st.sampled_from(["req_ssl_sni -i -m beg", "req_ssl_sni -m end", "req_ssl_sni", "path_reg"]),
        "timeoutClient": st.just("1ms"),
        "debug": st.just("true"),
        "debugFormat": st.just("evil"),
    },
)

# What becomes keys of a map, where another value of the service might make them free text.
DOMAINS = st.fixed_dictionaries(
    {
        "serviceDomain": st.sampled_from(
            [
                "q/ other-be80_0",
                "first.org/a ?q",
                "first.org/other",
                "*first.org/other",
                "*",
                "*.",
                "# x",
                "*.(a|b)",
                "^evil",
                "*first.org",
                "*.evil.org",
                ",".join("*" + ".x" * depth for depth in range(1, 40)),
            ]
        )
    },
    optional={
        "serviceDomainAlgo": st.sampled_from(
            ["req.ssl_sni -m reg", "req_ssl_sni -i -m reg", "req.ssl_sni", "hdr_reg(host)", "req.hdr_reg(host) -i"]
        ),
        "pathType": st.sampled_from(["path_reg", "req_ssl_sni -m reg", "req_ssl_sni"]),
        "redirectFromDomain": st.sampled_from(["*first.org", "*", "old.org", "*.old.org"]),
        "servicePathExclude": st.just("/zzz"),
        "isDefaultBackend": st.just("true"),
    },
)
