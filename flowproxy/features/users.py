"""Users and passwords: who may use a service, with HTTP basic authentication."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from flowproxy.errors import Problem
from flowproxy.features.feature import Defaults, Destinations, Feature, Parameters, Protection
from flowproxy.text.values import Flag, Lines, Name

if TYPE_CHECKING:
    from flowproxy.features import ServiceParameters


class OfDestination(Parameters):
    """A destination that is open although the service asks for users."""

    ignore_authorization: Flag = Field(
        False, description="Whether this destination is open although users are set.", examples=["true"]
    )


class OfService(Parameters):
    """The users of a service."""

    users: Lines | None = Field(
        None,
        description="`name:password` items, separated by commas, who may use the service.",
        examples=["ada:engine,grace:cobol", "ada:engine"],
    )
    users_secret: Name | None = Field(
        None, description="The users are in the secret `dfp_users_<this>`.", examples=["shop", "admin"]
    )
    users_pass_encrypted: Flag = Field(
        False,
        description="Whether the passwords are crypt hashes, which must be quick to compute: `$5$` and `$6$` with at"
        " most 10000 rounds, bcrypt with a cost of at most 06.",
        examples=["true"],
    )


def parse_users(text: str, *, encrypted: bool) -> Iterable[tuple[str, str | None, bool]]:
    """Yield the name, password and kind of the items `name:password` between commas or line ends.

    Without a colon an item is a name that needs its password from elsewhere.
    """
    for item in re.split(r"[,\n]", text):
        name, colon, password = item.strip().partition(":")
        if name and (password or not colon):
            yield name, password if colon else None, encrypted


def _check(service: ServiceParameters, destinations: Destinations, defaults: Defaults) -> Iterable[Problem]:
    if service.users is None and service.users_secret is None:
        if service.users_pass_encrypted:
            yield Problem("usersPassEncrypted", "", "has no effect without users or usersSecret")
        return
    open_ports = [d for d in destinations if d.req_mode != "http" and not d.ignore_authorization]
    for destination in open_ports if len(open_ports) < len(destinations) else ():
        mode, opened = destination.req_mode, f"ignoreAuthorization{destination.suffix}=true"
        yield Problem("users", "", f"do not protect the {mode} destination; set {opened} if it may be open")
    if defaults.secret_users is not None:
        yield from _without_password(service, defaults.secret_users, defaults.users)


def _without_password(
    service: ServiceParameters, secrets: Mapping[str, frozenset[str]], global_users: frozenset[str]
) -> Iterable[Problem]:
    secret = service.users_secret
    if secret is not None and secret not in secrets:
        yield Problem(
            "usersSecret", secret, f"there is no secret dfp_users_{secret}; create it and give it to the proxy"
        )
        return
    with_password = secrets[secret] if secret is not None else global_users
    if secret is not None and not with_password:
        yield Problem("usersSecret", secret, f"the secret dfp_users_{secret} holds no name:password")
    if service.users is None:
        return
    named = list(parse_users(service.users, encrypted=service.users_pass_encrypted))
    if not named:
        yield Problem("users", "", "holds no user; write name:password")
    lacking = [name for name, password, _ in named if not password and name.lower() not in with_password]
    if lacking:
        where = f"the secret dfp_users_{secret}" if secret is not None else "the setting USERS"
        yield Problem("users", ", ".join(lacking), f"no password; write name:password, or add the name to {where}")


_PROTECTION = Protection(
    level=lambda destination: destination.ignore_authorization,
    is_better=lambda one, other: other.ignore_authorization and not one.ignore_authorization,
)

FEATURE = Feature(
    name="users",
    service=OfService,
    destination=OfDestination,
    modes=("http",),
    check=_check,
    protection=_PROTECTION,
    protects=frozenset({"users", "usersSecret", "usersPassEncrypted", "ignoreAuthorization"}),
    guesses={
        **dict.fromkeys(
            "usr user username usernames usersname userlist userpass auth authorization authentication authenticate"
            " basicauth httpauth httpbasicauth login logins credential credentials passwd password passwords pwd"
            " htpasswd".split(),
            "users",
        ),
        **dict.fromkeys("noauth skipauth skipauthorization anonymous".split(), "ignoreAuthorization"),
    },
)
