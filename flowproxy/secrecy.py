"""What must not be told: passwords and keys, in answers of the API, in the log and in errors."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "(hidden)"

_PARAMETERS = frozenset({"users", "servicecert", "grouptoken"})
_IN_CONFIGURATION = re.compile(
    r"(\b(?:insecure-)?password[ \t]+|\bstats[ \t]+auth[ \t]+|\b(?:proxy-)?authorization[ \t]+)(?P<secret>\S.*)",
    re.IGNORECASE,
)


def is_secret(parameter: str) -> bool:
    """Whether the value of a parameter, by its public name with or without an index, is nobody's to read."""
    return parameter.partition(".")[0].lower() in _PARAMETERS


def shown(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters for others to read."""
    return {name: HIDDEN if is_secret(name) else without_secrets(value) for name, value in parameters.items()}


def without_secrets(configuration: str) -> str:
    """Lines of HAProxy configuration for others to read."""
    return _IN_CONFIGURATION.sub(rf"\1{HIDDEN}", configuration)


def without_secrets_of(line: str, complaint: str) -> str:
    """What HAProxy says of a line, without what the line keeps secret."""
    found = _IN_CONFIGURATION.search(line)
    for secret in found["secret"].split() if found else ():
        bare = secret.strip("'\"")
        complaint = complaint.replace(bare, HIDDEN) if bare else complaint
    return complaint
