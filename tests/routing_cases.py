"""Services and requests for property tests of routing, in pure Python and through a real HAProxy."""

from __future__ import annotations

from hypothesis import strategies as st

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match
from flowproxy.routing.table import CONDITIONAL, RouteTable
from flowproxy.services.model import Candidate
from flowproxy.services.parse import parse


def candidate(name: str, created: float = 0.0, **parameters: str) -> Candidate:
    dotted = {key.replace("_", "."): value for key, value in parameters.items()}
    return Candidate(parse({"serviceName": name, "port": "80", **dotted}), created)


def described_candidates(described: list[dict[str, str]]) -> list[Candidate]:
    return [
        candidate(f"s{number}", float(given["created"]), **{k: v for k, v in given.items() if v and k != "created"})
        for number, given in enumerate(described)
    ]


def route(candidates: list[Candidate], url: str, port: int = 80, **headers: str) -> str | None:
    """Return the service that gets a request by its meaning; the compiled table must agree."""
    host, slash, path = url.partition("/")
    request = Request(host, slash + path, port, {k.replace("_", "-"): v for k, v in headers.items()})
    table = compile_routes(candidates)
    chosen = match(table.routes, request)
    assert look_up(table, request) == (chosen.backend if chosen else None)
    return chosen.service if chosen else None


def look_up(table: RouteTable, request: Request) -> str | None:
    """Return the backend that HAProxy finds with the maps and rules (templates/frontend.cfg.j2 and rules.cfg.j2)."""

    def longest(name: str, key: str) -> str | None:
        found = [entry for entry in table.maps[name] if key.startswith(entry)]
        return table.maps[name][max(found, key=len)] if found else None

    labels = request.host.split(".")
    stages = [("exact", longest("exact", request.host + request.path))]
    for depth in table.wildcard_depths:
        if len(labels) > depth:
            stages.append(("wildcard", longest("wildcard", "." + ".".join(labels[-depth:]) + request.path)))
    stages.append(("pattern", longest("pattern", request.path)))
    stages += [("any", longest("any", request.path)), ("default", table.maps["default"].get("default"))]
    for name, value in stages:
        if value is None:
            continue
        if not value.startswith(CONDITIONAL):
            return value
        for rule in table.rules[name]:
            if rule.value == value and all(condition.holds(request) for condition in rule.conditions):
                return rule.backend
    return None


HOSTS = ["a.org", "b.a.org", "c.b.a.org", "*.a.org", "*.b.a.org", "*.org"]
PATHS = ["/", "/a", "/ab", "/a/b", "/a/b/c", "/b"]
ODD_PATHS = [
    "//a",
    "/a/../b",
    "/%61/b",
    "/a/..;/b",
    "/a%2fb",
    "/b/./../a//",
    "/b/../a//..",
    "/a/b/../../b",
    "/b;x/../a/b",
]
DIFFERENTLY_PROTECTED = [
    {"servicePath_1": "/b", "ignoreAuthorization_1": "true", "servicePath_2": "/a"},
    {"servicePath_1": "/", "ignoreAuthorization_1": "true", "servicePath_2": "/a/b,/b", "serviceDomain_2": "a.org"},
    {"servicePath_1": "/a", "servicePath_2": "/", "verifyClientSsl_2": "true", "serviceHeader_2": "X-A:1"},
    {"servicePath_1": "/b", "verifyClientSsl_1": "true", "servicePath_2": "/"},
]
CANDIDATES = st.lists(
    st.builds(
        lambda domain, algorithm, path_type, path, header, agent, exclude, default, created, acl, parts: {
            **parts,
            "serviceDomain": domain,
            "serviceDomainAlgo": algorithm,
            "pathType": path_type if path != "/" and not parts else "",  # no part of a path is a lone delimiter
            "servicePath": path,
            "serviceHeader": header,
            "userAgent": agent,
            "servicePathExclude": exclude,
            # The first destination must be protected as well as the others.
            "isDefaultBackend": default if not parts or "verifyClientSsl_1" in parts else "",
            "aclName": acl,
            "created": created,
        },
        st.sampled_from(["", *HOSTS, "a.org,*.org", "*a.org"]),
        st.sampled_from(["", "", "", "hdr_beg(host)", "hdr_dom(host)", "hdr(host)"]),
        st.sampled_from(["", "", "", "path", "path_end", "path_sub -i", "path_dir", "path_reg"]),
        st.sampled_from([*PATHS, "/a,/b"]),
        st.sampled_from(["", "", "", "X-A:1", "X-A:2", "X-A:1,X-B:1"]),
        st.sampled_from(["", "", "", "amiga"]),
        st.sampled_from(["", "", "", "/a/b"]),
        st.sampled_from(["", "", "true"]),
        st.sampled_from(["0", "1"]),
        st.sampled_from(["", "", "x", "y"]),
        st.sampled_from([{}, {}, *DIFFERENTLY_PROTECTED]),
    ),
    max_size=8,
)
REQUESTS = st.builds(
    Request,
    st.sampled_from(["a.org", "b.a.org", "c.b.a.org", "d.c.b.a.org", "org", "x.net", ""]),
    st.sampled_from([*PATHS, *ODD_PATHS, "/a/b/c/d", "/abc", "/zz"]),
    st.just(80),
    st.dictionaries(st.sampled_from(["x-a", "x-b", "user-agent"]), st.sampled_from(["1", "2", "Amiga"])),
)
