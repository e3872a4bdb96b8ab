"""What looks like protection and is not understood closes the route, through a real HAProxy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from controller import Controller, Origin, Running, Tls

Origins = Callable[[str], Origin]

OUT = {"outboundHostname": "127.0.0.1"}
MISUNDERSTOOD = [
    {"users.2": "x:y"},
    {"usr": "a:b"},
    {"user": "a:b"},
    {"basicAuth": "a:b"},
    {"allowedmethods": "PUT"},
    {"allowIps": "10.0.0.0/8"},
    {"allowedMethods.7": "PUT"},
    {"httpOnly": "true"},
    {"verifyClientSsl": "true"},
    {"users": "admin"},
    {"usersSecret": "none"},
    {"users": ","},
]


def _call(controller: Controller, parameters: dict[str, str]) -> tuple[int, str]:
    given = {"serviceName": "admin", "servicePath": "/admin", **OUT, **parameters}
    answer = controller.api("/v1/reconfigure", **given)
    return answer.status, answer.text


def test_a_service_whose_protection_is_not_understood_gets_no_route(
    running: Running[Controller], origin: Origins
) -> None:
    controller = running()
    port = str(origin("admin").port)

    for parameters in MISUNDERSTOOD:
        status, text = _call(controller, {"port": port, **parameters})
        assert status == 400, text
        assert next(iter(parameters)) in text
        assert controller.get("/admin").status == 503


def test_the_last_good_version_keeps_serving(running: Running[Controller], origin: Origins) -> None:
    controller = running()
    port = str(origin("admin").port)
    assert _call(controller, {"port": port, "users": "a:b"})[0] == 200

    for parameters in MISUNDERSTOOD:
        assert _call(controller, {"port": port, **parameters})[0] == 400
        assert controller.get("/admin").status == 401
        assert controller.get("/admin", Authorization="Basic YTpi").status == 200


def test_a_tcp_service_with_users_gets_no_port(running: Running[Controller], origin: Origins) -> None:
    controller = running()

    status, text = _call(
        controller, {"port": str(origin("db").port), "reqMode": "tcp", "srcPort": "29999", "users": "a:b"}
    )

    assert status == 400
    assert "users: protects http only" in text


def test_names_without_passwords_take_them_from_where_they_are(tls: Tls, origin: Origins) -> None:
    (tls.secrets / "dfp_users_mine").write_text("a:b\n")
    tls.begin(USERS="a:b")
    port = str(origin("admin").port)

    for parameters in ({"users": "a"}, {"users": "a", "usersSecret": "mine"}, {"usersSecret": "mine"}):
        assert _call(tls, {"port": port, **parameters})[0] == 200
        assert tls.get("/admin").status == 401
        assert tls.get("/admin", Authorization="Basic YTpi").status == 200
    assert _call(tls, {"port": port, "users": "other", "usersSecret": "mine"})[0] == 400


@pytest.mark.parametrize("variable", ["DFP_SERVICE_USR", "DFP_SERVICE_USERS_2"])
def test_a_variable_that_looks_like_protection_stops_the_start(controller: Controller, variable: str) -> None:
    controller.launch(
        **{
            "DFP_SERVICE_SERVICE_NAME": "web",
            "DFP_SERVICE_SERVICE_PATH": "/",
            "DFP_SERVICE_PORT": "80",
            variable: "a:b",
        }
    )

    assert controller.process
    assert controller.process.wait(20) == 1
    assert "users" in controller.log.read_text()
