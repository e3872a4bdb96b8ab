"""The normal form of a path."""

from __future__ import annotations

import pytest

from flowproxy.text.paths import normal


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a%20b", "/a b"),
        ("//admin", "/admin"),
        ("/a//b/", "/a/b/"),
        ("/%61dmin", "/admin"),
        ("/%2561dmin", "/%61dmin"),
        ("/public/../admin", "/admin"),
        ("/public/%2e%2e/admin", "/admin"),
        ("/a/./b/.", "/a/b"),
        ("/../../x", "/x"),
        ("/a/b/c/../../..", "/"),
        ("/a;v=1/b;w", "/a/b"),
        ("/a\\b", "/a/b"),
        ("/a%2fb", "/a/b"),
        ("/a%5Cb", "/a/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b/c..", "/a/..b/c.."),
    ],
)
def test_a_path_has_one_normal_form(path: str, form: str) -> None:
    assert normal(path) == form


@pytest.mark.parametrize(
    "path",
    [
        "/public/../admin//..",
        "/public/..%2fadmin",
        "/public/..;/admin",
        "/public\\..\\admin",
        "/public/..%5cadmin",
        "/a%00b",
        "/a%zz",
        "/a%",
        "/" + "/".join("abcdefghijkl") + "/.." * 12,
    ],
)
def test_a_path_that_servers_read_differently_has_no_normal_form(path: str) -> None:
    assert normal(path) is None
