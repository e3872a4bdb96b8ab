"""Flat names to a Service: labels, query strings and environment blocks all arrive as {str: str}."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Mapping
from typing import TypeVar, cast, get_origin

from pydantic import ValidationError

from flowproxy.errors import InvalidService, Problem, UnroutedService
from flowproxy.model import Destination, Parameters, Service

M = TypeVar("M", bound=Parameters)

_INDEXED = re.compile(r"(?P<name>[A-Za-z]+)\.(?P<index>[1-9][0-9]{0,3})")
_HIDDEN = {"index", "destinations", "ignored"}

SERVICE_PARAMETERS = {k: v for k, v in Service.by_public_name().items() if v not in _HIDDEN}
DESTINATION_PARAMETERS = {k: v for k, v in Destination.by_public_name().items() if v not in _HIDDEN}
# Docker Flow Proxy reads the parameters of a service, though not those of a destination, whatever their case.
_ANY_CASE = {name.lower(): name for name in SERVICE_PARAMETERS}
# What its listener adds for itself or for others; nobody needs to hear that we have no use for it.
_EXPECTED = {"distribute", "nodeInfo", "shortName", "notify", "reqMode", "replicas"}
# A destination exists where one of these is given with its index.
_FOUNDING = ("port", "servicePath", "serviceDomain")


def parse(parameters: Mapping[str, str], separator: str = ",") -> Service:
    """The service that the parameters describe.

    `separator` divides lists (the setting SEPARATOR). Raises InvalidService with every wrong parameter, UnroutedService
    when they ask for no route. Unknown parameters are kept in `ignored`: other tools use the same label prefix.
    """
    for_service: dict[str, str] = {}
    by_index: dict[int, dict[str, str]] = {}
    ignored = []
    for given, value in parameters.items():
        indexed = _INDEXED.fullmatch(given)
        name, index = (indexed["name"], int(indexed["index"])) if indexed else (given, 0)
        if name in DESTINATION_PARAMETERS:
            by_index.setdefault(index, {})[name] = value
        elif not indexed and given.lower() in _ANY_CASE:
            for_service[_ANY_CASE[given.lower()]] = value
        elif name not in _EXPECTED:
            ignored.append(given)
    name = for_service.get("serviceName", "")
    if not name:
        raise InvalidService("", (Problem("serviceName", "", "is missing; give the name of the service"),))

    problems: list[Problem] = []
    mode = parameters.get("reqMode", "") or "http"
    if mode.lower() != "http":
        problems.append(Problem("reqMode", mode, "is not supported; only http is"))
    destinations = tuple(_destinations(by_index, separator, problems))
    service = _validate(Service, for_service, "", separator, problems)
    if problems:
        raise InvalidService(name, tuple(problems))
    service = service.model_copy(update={"destinations": destinations, "ignored": tuple(sorted(ignored))})
    _require_routes(service)
    return service


def nearest(name: str) -> str | None:
    """The public parameter that a misspelt one probably means."""
    base = name.partition(".")[0]
    close = difflib.get_close_matches(base, [*DESTINATION_PARAMETERS, *SERVICE_PARAMETERS], n=1, cutoff=0.8)
    return close[0] if close else None


def _destinations(
    by_index: Mapping[int, dict[str, str]], separator: str, problems: list[Problem]
) -> Iterable[Destination]:
    """One per index; without any index the plain parameters are the only one. A plain parameter is the default of an
    indexed one."""
    plain = by_index.get(0, {})
    numbered = sorted(i for i, given in by_index.items() if i and any(given.get(key) for key in _FOUNDING))
    for index in numbered or [0]:
        own = {key: value for key, value in by_index.get(index, {}).items() if value}
        suffix = f".{index}" if index else ""
        destination = _validate(Destination, plain | own, suffix, separator, problems, own=own)
        if destination.service_domain and not destination.service_path:
            destination = destination.model_copy(update={"service_path": ("/",)})
        yield destination.model_copy(update={"index": index})


def _validate(
    model: type[M],
    given: Mapping[str, str],
    suffix: str,
    separator: str,
    problems: list[Problem],
    own: Container[str] = (),
) -> M:
    """The model of the given values; what is wrong goes to `problems`, named as its author wrote it."""
    names = model.by_public_name()
    values = {key: _split(model, names[key], value, separator) for key, value in given.items() if value}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for wrong in error.errors():
            key = str(wrong["loc"][0])
            rule = wrong["msg"].removeprefix("Value error, ").removeprefix("Input ")
            problems.append(Problem(key + suffix if key in own else key, str(given.get(key, "")), rule))
        return cast(M, model.model_construct())


def _split(model: type[M], field: str, value: str, separator: str) -> object:
    if get_origin(model.model_fields[field].annotation) is not tuple:
        return value
    return [item.strip() for item in value.split(separator) if item.strip()] if separator else [value]


def _require_routes(service: Service) -> None:
    default = service.is_default_backend
    for destination in service.destinations:
        suffix = f".{destination.index}" if destination.index else ""
        if not destination.service_path and not default:
            rule = f"is missing, and serviceDomain{suffix} too; give at least one of them"
            raise UnroutedService(service.service_name, (Problem(f"servicePath{suffix}", "", rule),))
        if destination.port is None:
            rule = "is missing; give the port that the service listens on"
            raise InvalidService(service.service_name, (Problem(f"port{suffix}", "", rule),))
