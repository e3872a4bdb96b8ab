"""Users and passwords."""

from __future__ import annotations

import pytest
from featured import PLAIN, lines, section

from flowproxy.errors import InvalidService
from flowproxy.features import Defaults
from flowproxy.features.users import parse_users
from flowproxy.services.parse import parse


def test_a_request_without_a_user_is_asked_for_one_and_the_service_sees_no_password() -> None:
    assert lines({"users": "ada:engine,grace:it's"}) == [
        "userlist web-be80_0-users",
        "user ada insecure-password engine",
        "user grace insecure-password 'it'\"'\"'s'",
        "",
        "http-request auth realm webRealm unless { http_auth(web-be80_0-users) }",
        "http-request del-header Authorization",
    ]


def test_a_destination_may_be_open() -> None:
    assert "auth realm" not in section({"users": "ada:engine", "ignoreAuthorization": "true"}).text


def test_a_name_without_a_colon_takes_its_password_from_elsewhere() -> None:
    assert list(parse_users("ada:engine, grace\nx:", encrypted=False)) == [
        ("ada", "engine", False),
        ("grace", None, False),
    ]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"usersPassEncrypted": "true"}, "has no effect without users"),
        ({"users": "grace"}, "'grace': no password"),
        ({"users": ","}, "holds no user"),
        ({"usersSecret": "shop"}, "there is no secret dfp_users_shop"),
        ({"usersSecret": "empty"}, "holds no name:password"),
        ({"users": "a:b\n", "basicAuth": "a:b"}, "basicAuth"),
        ({"users": "a:\x00"}, "control characters"),
    ],
)
def test_what_would_not_protect_is_refused(given: dict[str, str], rule: str) -> None:
    defaults = Defaults(secret_users={"empty": frozenset()})

    with pytest.raises(InvalidService, match=rule):
        parse({**PLAIN, **given}, defaults)
