"""Services that the environment describes: DFP_SERVICE_<NAME>, and DFP_SERVICE_<n>_<NAME> for several."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.services.protection import guarded_by

_VARIABLE = re.compile(r"DFP_SERVICE_(?:(?P<service>[0-9]+)_)?(?P<name>[A-Z_]*[A-Z])(?:_(?P<index>[0-9]+))?")


def services(environment: Mapping[str, str], protocol: str | None) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The parameters of each service, by its number, which is empty without one; and the names that mean nothing.

    `protocol` is their reqMode where they do not say.
    """
    found: dict[str, dict[str, str]] = {}
    unknown = []
    for variable, value in environment.items():
        parts = _VARIABLE.fullmatch(variable)
        if not parts:
            continue
        parameter = _PARAMETERS.get(parts["name"].replace("_", ""))
        if parameter is None:
            unknown.append(variable)
            continue
        index = f".{parts['index']}" if parts["index"] else ""
        if value:
            given = {"reqMode": protocol} if protocol else {}
            found.setdefault(parts["service"] or "", given)[parameter + index] = value
    return found, sorted(unknown)


# The system we replace writes some names with and some without underscores.
_PARAMETERS = {name.upper(): name for name in (*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS)}
_PARAMETERS |= {name.upper(): name for name in ("reqPathSearch", "reqPathReplace", "serviceDomainMatchAll")}


def nearest_variable(variable: str) -> str | None:
    """The variable that a misspelt one probably means."""
    parts = _VARIABLE.fullmatch(variable)
    name = parts["name"].replace("_", "") if parts else ""
    close = difflib.get_close_matches(name, _PARAMETERS, n=1, cutoff=0.7)
    if not parts or not close:
        return None
    return variable.replace(parts["name"], variable_of(_PARAMETERS[close[0]]))


def unguarded(unknown: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the unknown variables, given with a value, that look like protection, each with what was meant."""
    found = {}
    for variable in unknown:
        parts = _VARIABLE.fullmatch(variable)
        name = parts["name"].replace("_", "") if parts and environment.get(variable) else ""
        if meant := guarded_by(name, _PARAMETERS.values()) if name else None:
            found[variable] = meant
    return found


def variable_of(parameter: str) -> str:
    """The end of a parameter's variable."""
    return re.sub(r"(?=[A-Z])", "_", parameter).upper()
