"""Parameters that look like protection are understood, or the service is refused: a mistake must not open a route.

Parameters that protect are compared with what a service was given: unknown names close to them, and places where they
have no effect.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from flowproxy.errors import Problem
from flowproxy.features import FEATURES
from flowproxy.services.model import Destination
from flowproxy.text.booleans import is_false
from flowproxy.text.nearest import nearest

_OF_SERVICES = frozenset(n for f in FEATURES if f.service for n in f.protects & f.service.by_public_name().keys())
_OF_DESTINATIONS = frozenset(
    n for f in FEATURES if f.destination for n in f.protects & f.destination.by_public_name().keys()
)
# Wrong names for each parameter, in lower case and without separators.
_GUESSED = {word: parameter for feature in FEATURES for word, parameter in feature.guesses.items()}
_CLOSE = 0.8
LONGEST_NAME = 64  # characters; a longer name is close to no parameter
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
        near = nearest(given, names, _CLOSE)
        if near:
            return protecting.get(near)
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
    for_service: Mapping[str, str],
    by_index: Mapping[int, Mapping[str, str]],
    destinations: Collection[Destination],
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


def _no_effect(mode: str) -> str:
    return f"protects http only and has no effect on a {mode} destination; remove it, or use reqMode=http"


def _asks(value: str) -> bool:
    """Return whether a value asks for something: one that switches a flag off does not."""
    return not is_false(value)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _begins_with(given: str, parameter: str) -> bool:
    """Return whether the first words of a name are those of a parameter: usersFile, but not userService."""
    words = _WORDS.findall(parameter)
    return [word.lower() for word in _WORDS.findall(given)[: len(words)]] == [word.lower() for word in words]


def _begins_only(given: str, protecting: str, names: Iterable[str]) -> bool:
    """Return whether a name is the beginning of a protecting name and of no other."""
    return len(given) > 4 and [name for name in names if name.startswith(given)] == [protecting]
