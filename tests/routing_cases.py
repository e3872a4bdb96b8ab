"""Services and requests that meet in every way: for the pure property and for the one through a real HAProxy."""

from __future__ import annotations

from hypothesis import strategies as st

from flowproxy.routing.table import Request
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
