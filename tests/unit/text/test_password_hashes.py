"""Hashes that are slow to compute are refused, and so are too many users."""

from __future__ import annotations

import pytest

from flowproxy.errors import InvalidService
from flowproxy.services.parse import parse
from flowproxy.text.password_hashes import is_cheap

WEB = {"serviceName": "web", "servicePath": "/", "port": "80"}
SALT = "0123456789abcdefghijkl"
CHEAP = [
    "abJnggxhB/yWI",
    "!",
    "$1$salt$hash",
    "$5$salt$hash",
    "$6$salt$hash",
    "$6$rounds=1000$salt$hash",
    "$5$rounds=10000$salt$hash",
    f"$2y$05${SALT}",
    f"$2b$06${SALT}",
    "$9$nobody",
]
COSTLY = [
    "$6$rounds=8000000$salt$hash",
    "$6$rounds=10001$salt$hash",
    "$6$rounds=+99999$salt$hash",
    "$6$rounds= 99999$salt$hash",
    "$6$rounds=-1$salt$hash",
    "$6$rounds=999999999",
    "$5$rounds=$salt$hash",
    f"$2b$07${SALT}",
    f"$2b$31${SALT}",
    f"$2x$05${SALT}",
    "$2b$5$a",
    "$y$j9T$salt$hash",
    "$y$jFT$salt$hash",
    "$gy$j9T$salt$hash",
    "$sm3$salt$hash",
    "$7$CU..../....salt$hash",
    "$md5,rounds=99999$salt$hash",
    "$sha1$99999999$salt$hash",
    "_zzzzrasm",
    "$argon2id$v=19$m=65536,t=2,p=1$salt$hash",
    "$x$",
    "$",
]


@pytest.mark.parametrize("cheap", CHEAP)
def test_cheap_hashes_are_accepted(cheap: str) -> None:
    assert is_cheap(cheap)
    parse(WEB | {"users": f"admin:{cheap}", "usersPassEncrypted": "true"})


@pytest.mark.parametrize("costly", COSTLY)
def test_costly_and_unknown_hashes_are_refused_and_not_quoted(costly: str) -> None:
    assert not is_cheap(costly)
    with pytest.raises(InvalidService, match="users: the hashes of 'admin' may take") as refused:
        parse(WEB | {"users": f"good:$1$salt$hash,admin:{costly.split(',')[0]}", "usersPassEncrypted": "true"})
    assert costly not in str(refused.value) or len(costly) < 4


def test_a_password_that_looks_like_a_hash_is_a_password() -> None:
    parse(WEB | {"users": "admin:$6$rounds=8000000$salt$hash"})


def test_too_many_users_are_refused() -> None:
    hashes = {"usersPassEncrypted": "true"}
    parse(WEB | hashes | {"users": ",".join(f"u{i}:$1$a$b" for i in range(100))})
    with pytest.raises(InvalidService, match="users: has 101 names; it takes at most 100 with usersPassEncrypted"):
        parse(WEB | hashes | {"users": ",".join(f"u{i}:$1$a$b" for i in range(101))})
    parse(WEB | {"users": ",".join(f"u{i}:a" for i in range(1000))})
    with pytest.raises(InvalidService, match="users: has 1001 names; it takes at most 1000"):
        parse(WEB | {"users": ",".join(f"u{i}:a" for i in range(1001))})
