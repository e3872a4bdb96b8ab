"""Who is let in by name and password.

Clients of Docker Flow Proxy see the same. Where ours differs the title says it; docs/migrating.md says why.
"""

from __future__ import annotations

import base64

import pytest
from behaviour import Behaviour, Proxy, at, check, demo, title
from controller import Running, Tls


def basic(user: str) -> str:
    """Return the value of Authorization for `name:password`."""
    return "Basic " + base64.b64encode(user.encode()).decode()


HASHED = "me:$6$salt$3aEJgflnzWuw1O3tr0IYSmhUY0cZ7iBQeBP392T7RXjLP3TKKu3ddIapQaCpbD4p9ioeGaVIjOHaym7HvCuUm0"  # pass
ME, YOU, WRONG = basic("me:pass"), basic("you:pa:ss"), basic("me:wrong")

ACCESS = [
    Behaviour(
        "users of a service",
        demo(users="me:pass"),
        {
            "/demo": '401 & www-authenticate: Basic realm="svcRealm"',
            f"/demo | Authorization: {WRONG}": "401",
            f"/demo | Authorization: {ME}": "A & not Authorization",
        },
    ),
    Behaviour(
        "a destination that is open",
        {
            "svc": {
                **{"users": "me:pass", "servicePath.1": "/open", "ignoreAuthorization.1": "true"},
                "servicePath.2": "/closed",
            }
        },
        {"/open": "A", "/closed": "401"},
    ),
    Behaviour(
        "an open destination sees what the client sent",
        demo(users="me:pass", ignoreAuthorization="true"),
        {f"/demo | Authorization: {ME}": f"A & Authorization: {ME}"},
    ),
    Behaviour(
        "names without passwords (differs: nobody could be let in)",
        demo(users="user1,user2"),
        {"/demo": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "a secret that is not there (differs: nobody could be let in)",
        demo(usersSecret="none"),
        {f"/demo | Authorization: {ME}": "503"},
        {"svc": 400},
    ),
    Behaviour(
        "a colon in a password; items that are none",
        demo(users="you:pa:ss,ww:,:asd"),
        {f"/demo | Authorization: {YOU}": "A", f"/demo | Authorization: {ME}": "401"},
    ),
    Behaviour(
        "blanks and empty lines around users",
        demo(users=" me:pass ,\n\n you:pa:ss\n"),
        {f"/demo | Authorization: {ME}": "A", f"/demo | Authorization: {YOU}": "A"},
    ),
    Behaviour(
        "a hash instead of a password",
        demo(
            users=HASHED,
            usersPassEncrypted="true",
        ),
        {
            f"/demo | Authorization: {ME}": "A",
            f"/demo | Authorization: {WRONG}": "401",
            f"/demo | Authorization: {basic(HASHED)}": "401",
        },
    ),
    Behaviour(
        "plus and ampersand in a password (differs: they were damaged)",
        demo(users="me:a+b&c"),
        {"/demo | Authorization: Basic bWU6YStiJmM=": "A"},
    ),
]


@pytest.mark.parametrize("behaviour", [*ACCESS], ids=title)
def test_what_clients_see(proxy: Proxy, behaviour: Behaviour) -> None:
    check(proxy, behaviour)


WITH_SETTINGS = [
    (
        {"USERS": "me:pass,you:pa:ss"},
        Behaviour(
            "users of every service",
            demo(),
            {
                "/demo": '401 & realm="defaultRealm"',
                f"/demo | Authorization: {ME}": "A",
                f"/demo | Authorization: {YOU}": "A",
                f"/demo | Authorization: {WRONG}": "401",
            },
        ),
    ),
    (
        {"USERS": "me:pass,you:pa:ss"},
        Behaviour(
            "a name takes its password from the users of every service",
            demo(users="me"),
            {
                f"/demo | Authorization: {ME}": "A",
                f"/demo | Authorization: {WRONG}": "401",
                f"/demo | Authorization: {YOU}": "401",
            },
        ),
    ),
    (
        {"USERS": "me:pass"},
        Behaviour(
            "a service's users go before those of every service (differs: both had to let one in)",
            demo(users="you:pa:ss"),
            {f"/demo | Authorization: {YOU}": "A", f"/demo | Authorization: {ME}": "401"},
        ),
    ),
    (
        {"secret:dfp_users_mine": "me:pass,\nyou:pa:ss\n"},
        Behaviour(
            "users of a secret",
            demo(usersSecret="mine"),
            {
                f"/demo | Authorization: {ME}": "A",
                f"/demo | Authorization: {YOU}": "A",
                f"/demo | Authorization: {WRONG}": "401",
                "/demo": "401",
            },
        ),
    ),
    (
        {"secret:dfp_users_mine": "me:wrong,you:pa:ss,third:x"},
        Behaviour(
            "names take their passwords from the secret, and nobody else is let in",
            demo(users="me:pass,you", usersSecret="mine"),
            {
                f"/demo | Authorization: {ME}": "A",
                f"/demo | Authorization: {WRONG}": "401",
                f"/demo | Authorization: {YOU}": "A",
                f"/demo | Authorization: {basic('third:x')}": "401",
            },
        ),
    ),
    (
        {"USERS": HASHED, "USERS_PASS_ENCRYPTED": "true"},
        Behaviour(
            "hashes for all, passwords for one",
            {"svc": at(users="you:pa:ss"), "other": at("/other", port="{B}")},
            {f"/demo | Authorization: {YOU}": "A", f"/other | Authorization: {ME}": "B", "/other": "401"},
        ),
    ),
]


@pytest.mark.parametrize(("settings", "behaviour"), WITH_SETTINGS, ids=title)
def test_what_clients_see_with_settings(
    running_tls: Running[Tls], ports: dict[str, int], settings: dict[str, str], behaviour: Behaviour
) -> None:
    check(Proxy(running_tls(**settings), ports), behaviour)
