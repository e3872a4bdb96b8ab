"""What looks like protection is understood, or the service is refused: a mistake in it must not open a route.

Parameters that protect are compared with what a service was given: unknown names close to them, and places where they
have no effect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

from flowproxy.errors import Problem
from flowproxy.services.model import Defaults, Destination, Service
from flowproxy.services.users import parse_users

# Of the whole service, and of a destination. sslVerifyNone and the like open rather than protect.
_OF_SERVICES = frozenset("users usersSecret usersPassEncrypted redirectWhenHttpProto redirectUnlessHttpsProto".split())
_OF_DESTINATIONS = frozenset(
    "allowedMethods deniedMethods denyHttp httpsOnly ignoreAuthorization serviceHeader servicePathExclude"
    " verifyClientSsl".split()
)
# Words that somebody may take for the parameter of that name, in lower case and without what separates words.
_GUESSED = {
    **dict.fromkeys(
        "usr user username usernames usersname userlist userpass auth authorization authentication authenticate"
        " basicauth httpauth httpbasicauth login logins credential credentials passwd password passwords pwd"
        " htpasswd".split(),
        "users",
    ),
    **dict.fromkeys("noauth skipauth skipauthorization anonymous".split(), "ignoreAuthorization"),
    **dict.fromkeys(
        "allow allowed allowfrom allowip allowips allowlist whitelist ipwhitelist ipallowlist allowedips denied deny"
        " denyfrom denyip denyips denylist blacklist blocklist ipblacklist ipdenylist restrict".split(),
        "serviceHeader or users (addresses are not compared)",
    ),
    **dict.fromkeys("method methods onlymethods allowmethods".split(), "allowedMethods"),
    **dict.fromkeys("denymethods forbiddenmethods".split(), "deniedMethods"),
    **dict.fromkeys(
        "sslonly tlsonly forcehttps forcessl forcetls onlyhttps requirehttps requiressl httpsredirect redirecttohttps"
        " redirecthttps".split(),
        "httpsOnly",
    ),
    **dict.fromkeys("clientauth clientcert clientca mtls verifyclient verifyssl".split(), "verifyClientSsl"),
    **dict.fromkeys("exclude excludepath excludepaths pathexclude serviceexclude".split(), "servicePathExclude"),
}
_CLOSE = 0.8
LONGEST_NAME = 64  # characters that are compared; no longer name is close to a parameter
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def guarded_by(name: str, known: Iterable[str]) -> str | None:
    """Return the protecting parameter that an unknown name probably means.

    `known` are the public names of all parameters: a name that is closer to another one means that.
    """
    name = name[:LONGEST_NAME]
    whole, first = _plain(name), _plain(name.partition(".")[0])
    names = {_plain(parameter): parameter for parameter in known}
    protecting = {_plain(parameter): parameter for parameter in _OF_SERVICES | _OF_DESTINATIONS}
    for given in {whole: None, first: None}:
        if given in _GUESSED:
            return _GUESSED[given]
        near = difflib.get_close_matches(given, names, n=1, cutoff=_CLOSE)
        if near:
            return protecting.get(near[0])
        meant = [parameter for plain, parameter in protecting.items() if _begins_only(given, plain, names)]
        meant += [parameter for parameter in protecting.values() if _begins_with(name, parameter)]
        if meant:
            return max(meant, key=len)
    return None


def unknown(names: Iterable[str], parameters: Mapping[str, str], known: Collection[str]) -> Iterable[Problem]:
    """Return a problem for each unknown name, given with a value, that looks like protection."""
    for name in names:
        meant = guarded_by(name, known) if parameters.get(name) else None
        if meant is None:
            continue
        base = name.partition(".")[0]
        if base in _OF_SERVICES:
            yield Problem(name, "", f"{base} is for the whole service; write {base}, without a number")
        else:
            yield Problem(name, "", f"is unknown, and looks like protection, so the service is refused; use {meant}")


def misplaced(
    service: Service,
    for_service: Mapping[str, str],
    by_index: Mapping[int, Mapping[str, str]],
    destinations: Collection[Destination],
    defaults: Defaults,
) -> Iterable[Problem]:
    """Return a problem for each protecting parameter that would have no effect where it was given."""
    http = [destination for destination in destinations if destination.req_mode == "http"]
    numbers = {destination.index: destination for destination in destinations}
    for name in sorted(_OF_SERVICES.intersection(for_service)):
        if _asks(for_service[name]) and not http:
            yield Problem(name, "", _no_effect("tcp or sni"))
    for index, given in sorted(by_index.items()):
        for name in sorted(_OF_DESTINATIONS.intersection(given)):
            suffix = f".{index}" if index else ""
            if not _asks(given[name]) or name == "ignoreAuthorization":
                continue
            if index and index not in numbers:
                yield Problem(
                    name + suffix, "", f"there is no destination {index}; give it a port or servicePath{suffix}"
                )
            elif (numbers[index].req_mode if index else "http" if http else "tcp") != "http":
                yield Problem(name + suffix, "", _no_effect("tcp or sni"))
    if not defaults.client_certificates and any(destination.verify_client_ssl for destination in http):
        yield Problem("verifyClientSsl", "", "needs the setting CA_FILE, whose authorities vouch for clients")
    yield from _users(service, destinations, defaults)


def _users(service: Service, destinations: Collection[Destination], defaults: Defaults) -> Iterable[Problem]:
    asked = service.users is not None or service.users_secret is not None
    if not asked:
        if service.users_pass_encrypted:
            yield Problem("usersPassEncrypted", "", "has no effect without users or usersSecret")
        return
    open_ports = [d for d in destinations if d.req_mode != "http" and not d.ignore_authorization]
    for destination in open_ports if len(open_ports) < len(destinations) else ():
        suffix = f".{destination.index}" if destination.index else ""
        mode, opened = destination.req_mode, f"ignoreAuthorization{suffix}=true"
        yield Problem("users", "", f"do not protect the {mode} destination; set {opened} if it may be open")
    if defaults.secret_users is None:
        return
    secret = service.users_secret
    if secret is not None and secret not in defaults.secret_users:
        yield Problem(
            "usersSecret", secret, f"there is no secret dfp_users_{secret}; create it and give it to the proxy"
        )
        return
    with_password = defaults.secret_users[secret] if secret is not None else defaults.users
    if secret is not None and not with_password:
        yield Problem("usersSecret", secret, f"the secret dfp_users_{secret} holds no name:password")
    if service.users is None:
        return
    named = list(parse_users(service.users, encrypted=service.users_pass_encrypted))
    if not named:
        yield Problem("users", "", "names nobody; write name:password")
    lacking = [name for name, password, _ in named if not password and name.lower() not in with_password]
    if lacking:
        where = f"the secret dfp_users_{secret}" if secret is not None else "the setting USERS"
        yield Problem("users", ", ".join(lacking), f"no password; write name:password, or add the name to {where}")


def _no_effect(mode: str) -> str:
    return f"protects http only and has no effect on a {mode} destination; remove it, or use reqMode=http"


def _asks(value: str) -> bool:
    """Whether a value asks for something: one that switches a flag off does not."""
    return value.lower() not in ("", "0", "f", "false", "off")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _begins_with(given: str, parameter: str) -> bool:
    """Whether the first words of a name are those of a parameter: usersFile, but not userService."""
    words = _WORDS.findall(parameter)
    return [word.lower() for word in _WORDS.findall(given)[: len(words)]] == [word.lower() for word in words]


def _begins_only(given: str, protecting: str, names: Iterable[str]) -> bool:
    """Whether a name is the beginning of a protecting one and of no other."""
    return len(given) > 4 and [name for name in names if name.startswith(given)] == [protecting]
