"""The users of a service, combined from labels, secrets and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowproxy.features.users import parse_users
from flowproxy.services.model import Service


class User(NamedTuple):
    """A user name with a password, or with its crypt hash."""

    name: str
    password: str
    encrypted: bool


# If no user is left, access is denied: no password has this crypt hash.
NOBODY = (User("nobody", "!", encrypted=True),)


def complete(text: str, *, encrypted: bool) -> tuple[User, ...]:
    """Return the users that have a password."""
    return tuple(
        User(name, password, flag) for name, password, flag in parse_users(text, encrypted=encrypted) if password
    )


def users_of(service: Service, secrets: Mapping[str, str], default: tuple[User, ...]) -> tuple[User, ...] | None:
    """Return the users of the service, or None when it asks for no users.

    `secrets` are the contents of `dfp_users_<name>`. A name without a password takes it from the service's secret, or
    from the `default` users when it has no secret.
    """
    if service.users is None and service.users_secret is None:
        return None
    encrypted = service.users_pass_encrypted
    secret = complete(secrets.get(service.users_secret or "", ""), encrypted=encrypted)
    if service.users is None:
        return secret or NOBODY
    source = secret if service.users_secret else default
    known = {user.name.lower(): user for user in source}
    found = []
    for name, password, flag in parse_users(service.users, encrypted=encrypted):
        other = known.get(name.lower())
        if password:
            found.append(User(name, password, flag))
        elif other:
            found.append(User(name, other.password, other.encrypted))
    return tuple(found) or NOBODY
