"""Services that do not know the path below which they are published."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from controller import Answer, Controller
from featured import PLAIN, configuration, cost, lines

from flowproxy.errors import InvalidService
from flowproxy.features import Change
from flowproxy.services.parse import parse

Web = Callable[..., Answer]


def seen(answer: Answer) -> tuple[str, str | None]:
    """Return the path and the prefix that the service received."""
    first, *headers = answer.text.splitlines()
    told = [line.partition(": ")[2] for line in headers if line.lower().startswith("x-forwarded-prefix:")]
    return first.split(" ")[1], ",".join(told) if told else None


@pytest.mark.parametrize(
    ("asked", "path", "prefix"),
    [
        ("/shop/x?y=1", "/x?y=1", "/shop"),
        ("/shop", "/", "/shop"),
        ("/shop/", "/", "/shop"),
        ("/shop?y=/shop", "/?y=/shop", "/shop"),
        ("/shop/a%2Fb%20%C3%A9;v=1", "/a%2Fb%20%C3%A9;v=1", "/shop"),
        ("/shop/a//b/", "/a//b/", "/shop"),
        ("/shop/shop/x", "/shop/x", "/shop"),
        ("/shop//evil.org/x", "/evil.org/x", "/shop"),
        ("/shop/eu/x", "/x", "/shop/eu"),
        ("/shop/eu", "/", "/shop/eu"),
        ("/shop/europe", "/europe", "/shop"),
        ("/shopping", "/shopping", None),
        ("/s|it's%22/x", "/x", "/s|it's%22"),
    ],
)
def test_whole_segments_are_taken_away_and_nothing_else_changes(
    controller: Controller, web: Web, asked: str, path: str, prefix: str | None
) -> None:
    web("strip", servicePath="/shop,/shop/eu/,/s|it's%22", stripPrefix="true")

    assert seen(controller.get(asked)) == (path, prefix)
    assert seen(controller.get(asked, X_Forwarded_Prefix="/forged")) == (path, prefix)


def test_equal_paths_become_the_root(controller: Controller, web: Web) -> None:
    web("equal", servicePath="/equal/one,/two", pathType="path", stripPrefix="true")

    assert seen(controller.get("/equal/one?x")) == ("/?x", "/equal/one")
    assert seen(controller.get("/two")) == ("/", "/two")


def test_another_path_and_another_service_are_no_reload(controller: Controller, web: Web) -> None:
    web("first", servicePath="/first", stripPrefix="true")
    reloads = controller.status["reloads"]
    web("first", servicePath="/other", stripPrefix="true")
    web("second", servicePath="/second", stripPrefix="true")

    assert seen(controller.get("/other/x")) == ("/x", "/other")
    assert seen(controller.get("/second/x")) == ("/x", "/second")
    assert controller.status["reloads"] == reloads


def test_rewrites_see_the_path_that_is_left(controller: Controller, web: Web) -> None:
    web("both", servicePath="/both", stripPrefix="true", reqPathSearchReplace="^/a,/b")

    assert seen(controller.get("/both/a")) == ("/b", "/both")


def test_a_destination_may_keep_its_path() -> None:
    given = {
        **{"stripPrefix": "true", "servicePath.1": "/a", "port.1": "80"},
        **{"servicePath.2": "/", "port.2": "80", "stripPrefix.2": "false"},
    }

    assert [d.strip_prefix for d in parse({**PLAIN, **given}).destinations] == [True, False]


def test_each_number_of_segments_has_its_lines() -> None:
    given = {"servicePath": "/a,/b,/c/d/", "stripPrefix": "true"}

    assert sum(line.startswith("http-request set-path") for line in lines(given)) == 2
    assert configuration(given).maps["values"] == {
        "web-be80_0|/a/": "1",
        "web-be80_0|/b/": "1",
        "web-be80_0|/c/d/": "2",
    }
    assert cost({**given, "servicePath": "/a"}, {**given, "servicePath": "/b"}) is Change.MAP


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"servicePath": "/"}, "stripPrefix: needs a servicePath other than /"),
        ({"servicePath": "/a,//"}, "needs a servicePath other than /"),
        ({"servicePath": "", "serviceDomain": "a.org"}, "needs a servicePath other than /"),
        ({"servicePath": "^/a", "pathType": "path_reg"}, "needs pathType path_beg or path; with path_reg"),
        ({"servicePath": "/a", "pathType": "path_beg -i"}, "needs pathType"),
        ({"servicePath": "/a", "stripPrefix.1": "yes", "port.1": "80"}, "stripPrefix.1"),
        ({"servicePath": ",".join("/a" * n for n in range(1, 12))}, "more than 10 different numbers of segments"),
        ({"reqMode": "tcp", "srcPort": "9000"}, "is for http"),
    ],
)
def test_where_no_beginning_of_a_path_is_known_it_is_refused(given: dict[str, str], rule: str) -> None:
    with pytest.raises(InvalidService, match=rule):
        parse({**PLAIN, "stripPrefix": "true", **given})
