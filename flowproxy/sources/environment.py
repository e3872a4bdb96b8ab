"""Services that the environment describes: DFP_SERVICE_<NAME>, and DFP_SERVICE_<n>_<NAME> for several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import structlog

from flowproxy.errors import InvalidService, InvalidSettings
from flowproxy.services.admission import Admission, ServiceRequest
from flowproxy.services.parse import DEPRECATED, DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.services.protection import guarded_by
from flowproxy.services.registry import Origin
from flowproxy.settings.misspelt import misspelt
from flowproxy.sources.source import SourceStatus, StatusRecord
from flowproxy.text.nearest import nearest

_log = structlog.get_logger(__name__)

_VARIABLE = re.compile(r"DFP_SERVICE_(?:(?P<service>[0-9]+)_)?(?P<name>[A-Z_]*[A-Z])(?:_(?P<index>[0-9]+))?")


class Environment:
    """The services of the environment, which does not change while the controller runs."""

    def __init__(self, admission: Admission, environment: Mapping[str, str], protocol: str | None) -> None:
        """Read the environment. Unknown variables are logged.

        Args:
            protocol: the default reqMode.

        Raises InvalidSettings for a service that is wrong, and for an unknown variable that looks like protection.
        """
        described, unknown = services(environment, protocol)
        meant = misspelt(environment) | {name: nearest_variable(name) for name in unknown}
        for variable, known in meant.items():
            _log.warning("unknown variable", variable=variable, meant=known)
        for variable, known in unguarded(unknown, environment).items():
            raise InvalidSettings(f"{variable}: is unknown, and looks like protection; use {known}")
        self._admission = admission
        self._requests = [ServiceRequest(Origin.ENVIRONMENT, 0.0, given) for given in described.values()]
        self._record = StatusRecord("environment")
        for number, request in zip(described, self._requests, strict=True):
            try:
                admission.examine(request)
            except InvalidService as error:
                raise InvalidSettings(f"DFP_SERVICE_{number}{'_' if number else ''}*: {error}") from None

    @property
    def status(self) -> SourceStatus:
        """Return that its services were read, once they were."""
        return self._record.status

    async def run(self) -> None:
        """Replace the services of the environment that an earlier controller saw by those of today."""
        self._admission.registry.retain(Origin.ENVIRONMENT, ())
        for request in self._requests:
            self._admission.admit_listed(request)
        self._record.succeeded()


def services(environment: Mapping[str, str], protocol: str | None) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the parameters of each service by number (empty if it has none), and the unknown variables.

    `protocol` is the default reqMode.
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
_PARAMETERS = {name.upper(): name for name in (*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS, *DEPRECATED)}


def nearest_variable(variable: str) -> str | None:
    """Return the variable that a misspelt one probably means."""
    parts = _VARIABLE.fullmatch(variable)
    name = parts["name"].replace("_", "") if parts else ""
    meant = nearest(name, _PARAMETERS, 0.7)
    if not parts or not meant:
        return None
    return variable.replace(parts["name"], variable_of(_PARAMETERS[meant]))


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
