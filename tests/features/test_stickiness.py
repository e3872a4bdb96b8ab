"""Clients that stay with one task."""

from __future__ import annotations

from featured import configuration, lines, section


def test_a_cookie_keeps_a_client_with_its_task() -> None:
    cookie, secure = lines({"sessionType": "sticky-server"})

    assert cookie == "cookie web insert indirect nocache httponly"
    assert secure.endswith('"\\\\1; Secure" unless !{ ssl_fc }')


def test_a_server_has_a_value_that_tells_nothing_of_it() -> None:
    found = configuration({"sessionType": "sticky-server"})
    (server,) = found.servers["web-be80_0"]

    assert found.sections["web-be80_0"].options(server).rpartition(" cookie ")[2].isalnum()
    assert "10.0.0.1" not in found.sections["web-be80_0"].options(server)


def test_any_other_type_has_no_effect() -> None:
    assert section({"sessionType": "x\\ny"}) == section({})
