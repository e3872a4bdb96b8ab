from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from routing_cases import ODD_PATHS, candidate, look_up
from support import rounds

from flowproxy.routing.compile import compile_routes
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import match
from flowproxy.text.paths import normal

NESTED = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"]
SPELLED = [
    *ODD_PATHS,
    "/x/../a",
    "//a/b",
    "/a/./b/c",
    "/%61",
    "/b/../a/b/c",
    "/a//b",
    "/;/a",
    "/./a/b",
    "//",
    "/a/b/..",
]


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000))
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(NESTED), min_size=1, max_size=3, unique=True),
            st.booleans(),
            st.sampled_from(["", "path", "path_sub", "path_reg"]),
        ),
        min_size=2,
        max_size=4,
    ),
    st.sampled_from(SPELLED),
)
def test_no_spelling_of_a_path_leads_to_a_less_protected_destination(
    described: list[tuple[list[str], bool, str]], path: str
) -> None:
    assume(len({is_open for _, is_open, _ in described}) == 2)
    given: dict[str, str] = {}
    for number, (paths, is_open, how) in enumerate(described, 1):
        given[f"servicePath.{number}"] = ",".join(paths)
        given[f"ignoreAuthorization.{number}"] = str(is_open).lower()
        given[f"pathType.{number}"] = how
    table = compile_routes([candidate("web", 0, **given)])
    form = normal(path)
    by_name = {backend.name: backend.destination for backend in table.backends}

    chosen = match(table.routes, Request("x.org", path))
    assert look_up(table, Request("x.org", path)) == (chosen.backend if chosen else None)
    if chosen and by_name[chosen.backend].ignore_authorization:
        assert form is not None
        plain = match(table.routes, Request("x.org", form))
        assert plain
        assert by_name[plain.backend].ignore_authorization


@pytest.mark.longer
@settings(max_examples=rounds(100, soak=2000))
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(NESTED), min_size=1, max_size=2, unique=True),
            st.booleans(),
            st.sampled_from(["", "path"]),
            st.sampled_from(["", "a.org", "*.org", "b.org"]),
        ),
        min_size=2,
        max_size=3,
    ),
    st.sampled_from(SPELLED),
    st.sampled_from(["a.org", "b.org", "c.net"]),
)
def test_no_spelling_of_a_path_leads_to_a_less_protected_destination_of_another_host(
    described: list[tuple[list[str], bool, str, str]], path: str, host: str
) -> None:
    given: dict[str, str] = {}
    for number, (paths, is_open, how, domain) in enumerate(described, 1):
        given[f"servicePath.{number}"] = ",".join(paths)
        given[f"ignoreAuthorization.{number}"] = str(is_open).lower()
        given[f"pathType.{number}"] = how
        given[f"serviceDomain.{number}"] = domain
    table = compile_routes([candidate("web", 0, **given)])
    by_name = {backend.name: backend.destination for backend in table.backends}
    form = normal(path)
    chosen = match(table.routes, Request(host, path))
    plain = match(table.routes, Request(host, form)) if form else None

    assert look_up(table, Request(host, path)) == (chosen.backend if chosen else None)
    if chosen and plain and by_name[chosen.backend].ignore_authorization:
        assert by_name[plain.backend].ignore_authorization


def test_a_more_specific_host_that_is_protected_is_so_in_every_spelling() -> None:
    given = {"servicePath.1": "/a/b,/", "ignoreAuthorization.1": "true", "port.1": "81"}
    given |= {"servicePath.2": "/a", "serviceDomain.2": "*.org", "port.2": "82"}
    table = compile_routes([candidate("web", 0, **given)])

    for path in ("/a/b", "/%61/b", "//a/b"):
        chosen = match(table.routes, Request("x.org", path))
        assert chosen
        assert chosen.backend == "web-be82_2"


@pytest.mark.parametrize(
    ("opened", "protected", "path", "expected"),
    [
        ("/", "/admin", "/x", True),
        ("/", "/admin", "/admin", False),
        ("/", "/admin", "//admin", False),
        ("/", "/admin", "/x/../y", True),
        ("/public", "/", "/public/x", True),
        ("/public", "/", "/public/../x", False),
        ("/public", "/", "/public/%61", True),
        ("/,/admin/public", "/admin", "/admin/public/x", True),
        ("/,/admin/public", "/admin", "//admin/public/x", True),
        ("/,/admin/public", "/admin", "//admin/x", False),
        ("/app", "/app/admin", "/app//admin", False),
        ("/app", "/app/admin", "/app//x", True),
    ],
)
def test_the_normal_form_decides_between_destinations_as_the_path_does(
    opened: str, protected: str, path: str, expected: bool
) -> None:
    described = {"servicePath_1": opened, "ignoreAuthorization_1": "true", "servicePath_2": protected, "port_2": "81"}
    chosen = match(compile_routes([candidate("web", 0, **described)]).routes, Request("x.org", path))

    assert chosen
    assert chosen.backend.startswith("web-be80") == expected


@pytest.mark.parametrize("path", ["//", "/.", "/a/.."])
def test_other_spellings_of_a_protected_exact_path_are_protected_too(path: str) -> None:
    described = {
        "servicePath_1": "/",
        "pathType_1": "path",
        "servicePath_2": "/",
        "pathType_2": "path_sub",
        "port_2": "81",
        "ignoreAuthorization_2": "true",
    }
    routes = compile_routes([candidate("web", 0, **described)]).routes

    chosen, plain, other = (match(routes, Request("x.org", asked)) for asked in (path, "/", "/a"))
    assert chosen
    assert plain
    assert other
    assert chosen.backend == plain.backend == "web-be80_1"
    assert other.backend == "web-be81_2"


def test_an_exact_path_that_is_open_stays_open_beside_all_other_paths() -> None:
    described = {
        "servicePath_1": "/",
        "pathType_1": "path",
        "ignoreAuthorization_1": "true",
        "servicePath_2": "/",
        "port_2": "81",
    }
    routes = compile_routes([candidate("web", 0, **described)]).routes

    backends = {}
    for path in ("/", "//", "/a", "//a", "/%00"):
        chosen = match(routes, Request("x.org", path))
        assert chosen
        backends[path] = chosen.backend
    assert backends == {
        "/": "web-be80_1",
        "//": "web-be81_2",
        "/a": "web-be81_2",
        "//a": "web-be81_2",
        "/%00": "web-be81_2",
    }


@pytest.mark.parametrize(
    ("protected", "path", "expected"),
    [
        ("/a/b/c", "/a/b/c", False),
        ("/a/b/c", "/a/./b/c", False),
        ("/a/b/c", "/a/b/%63", False),
        ("/a/b/c", "/a/./b/c/d", True),
        ("/a/b/c", "/a/./b/x", True),
    ],
)
def test_an_exact_path_is_protected_below_an_open_one_in_every_spelling(
    protected: str, path: str, expected: bool
) -> None:
    described = {
        "servicePath_1": f"{protected},/x",
        "pathType_1": "path",
        "servicePath_2": "/a,/a/b/c",
        "port_2": "81",
        "ignoreAuthorization_2": "true",
    }
    chosen = match(compile_routes([candidate("web", 0, **described)]).routes, Request("x.org", path))

    assert chosen
    assert chosen.backend.startswith("web-be81") == expected
