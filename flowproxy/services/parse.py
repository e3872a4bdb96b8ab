"""Parses flat parameters into a Service: labels, query strings and environment blocks all arrive as {str: str}."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar, cast, get_origin

from pydantic import ValidationError

from flowproxy.errors import InvalidCertificate, InvalidService, Problem, Untrusted
from flowproxy.features import FEATURES, Defaults, Parameters
from flowproxy.services.certificate import Certificate, read_certificate
from flowproxy.services.completeness import require_routes
from flowproxy.services.limits import exceeded
from flowproxy.services.model import Destination, Service
from flowproxy.services.policy import beyond
from flowproxy.services.protection import LONGEST_NAME, misplaced, unknown
from flowproxy.services.safeguards import better_protected, told_apart
from flowproxy.text.booleans import is_true
from flowproxy.text.nearest import nearest as nearest_name
from flowproxy.text.secrets import shown_value, without_secrets_in_text
from flowproxy.text.validation import rule_of
from flowproxy.text.values import checked_domain, checked_line, checked_path

M = TypeVar("M", bound=Parameters)

MOST_PARAMETERS, MOST_UNKNOWN, MOST_NEAREST = 10_000, 200, 20

_INDEXED = re.compile(r"(?P<name>[A-Za-z]+)\.(?P<index>[1-9][0-9]{0,3})")

SERVICE_PARAMETERS = {"serviceName": "service_name"} | {
    public: field for f in FEATURES if f.service for public, field in f.service.by_public_name().items()
}
DESTINATION_PARAMETERS = {
    public: field for f in FEATURES if f.destination for public, field in f.destination.by_public_name().items()
}
# Docker Flow Proxy ignores the case of a service's parameters, but not of a destination's.
_ANY_CASE = {name.lower(): name for name in SERVICE_PARAMETERS}
# What its listener adds for itself or for others; they are ignored without a warning.
_EXPECTED = {"nodeInfo", "shortName", "notify", "scrapeNetwork"}
# A destination exists where one of these is given with its index.
_FOUNDING = ("port", "httpsPort", "servicePath", "serviceDomain")
DEPRECATED = {old: new for feature in FEATURES for old, new in feature.old_names.items()}

_STANDARD = Defaults()


class _Given(NamedTuple):
    """The parameters, sorted by what they belong to. `spelled` has the spellings of each parameter of the service."""

    modern: Mapping[str, str]
    for_service: dict[str, str]
    by_index: dict[int, dict[str, str]]
    spelled: Mapping[str, list[str]]
    ignored: Sequence[str]


def parse(parameters: Mapping[str, str], defaults: Defaults = _STANDARD) -> Service:
    """Return the service that the parameters describe.

    Raises InvalidService with every wrong parameter, UnroutedService when they ask for no route, Untrusted when they
    hold HAProxy configuration that is not allowed. Unknown parameters are kept in `ignored`: other tools use the same
    label prefix.
    """
    _require_few(parameters)
    given = _sorted_out(parameters)
    name = _required_name(given)
    service, destinations = _built(given, parameters, defaults)
    misspelt = list(_misspelt(given.ignored))
    warnings = (*map(str, misspelt), *_warnings(given, service, destinations, defaults))
    service = service.model_copy(
        update={"destinations": destinations, "ignored": tuple(sorted(given.ignored)), "warnings": warnings}
    )
    try:
        require_routes(service)
    except InvalidService as error:
        raise type(error)(name, error.problems + tuple(misspelt)) from None
    if untrusted := beyond(service, defaults.raw):
        raise Untrusted(name, untrusted)
    try:
        certificate_of(service)
    except InvalidCertificate as error:
        raise InvalidService(name, (Problem("serviceCert", "", str(error)),)) from None
    return service


def _require_few(parameters: Mapping[str, str]) -> None:
    if len(parameters) > MOST_PARAMETERS:
        rule = f"there are {len(parameters)} parameters; a service has at most {MOST_PARAMETERS}"
        raise InvalidService(parameters.get("serviceName", "")[:128], (Problem("serviceName", "", rule),))


def _sorted_out(parameters: Mapping[str, str]) -> _Given:
    for_service: dict[str, str] = {}
    by_index: dict[int, dict[str, str]] = {}
    ignored = []
    spelled: dict[str, list[str]] = {}
    modern = _modern(parameters)
    for given, value in modern.items():
        indexed = _INDEXED.fullmatch(given)
        name, index = (indexed["name"], int(indexed["index"])) if indexed else (given, 0)
        if name in DESTINATION_PARAMETERS:
            by_index.setdefault(index, {})[name] = value
        elif not indexed and (known := service_parameter(given)):
            if value:  # a spelling without a value has no meaning
                spelled.setdefault(known, []).append(given)
        elif name not in _EXPECTED:
            ignored.append(given)
    for known, spellings in spelled.items():
        for_service[known] = modern[_preferred(known, spellings)]
    return _Given(modern, for_service, by_index, spelled, ignored)


def _required_name(given: _Given) -> str:
    """The name of the service. Raises InvalidService when there is none, or too many parameters are unknown."""
    name = given.for_service.get("serviceName", "")
    if not name:
        raise InvalidService("", (Problem("serviceName", "", "is missing; give the name of the service"),))
    if len(given.ignored) > MOST_UNKNOWN:
        rule = f"is one of {len(given.ignored)} unknown parameters; a service has at most {MOST_UNKNOWN}"
        raise InvalidService(name, (Problem(given.ignored[0][:LONGEST_NAME], "", rule),))
    return name


def _built(given: _Given, parameters: Mapping[str, str], defaults: Defaults) -> tuple[Service, tuple[Destination, ...]]:
    """The service and its destinations. Raises InvalidService with everything that is wrong with either."""
    own_algorithm = given.for_service.get("serviceDomainAlgo", "")
    if defaults.service_domain_algo:
        given.for_service.setdefault("serviceDomainAlgo", defaults.service_domain_algo)
    problems: list[Problem] = []
    service = _validate(Service, given.for_service, "", defaults.separator, problems)
    destinations = tuple(
        _checked(service, destination, defaults.https_only, problems)
        for destination in _destinations(given.by_index, defaults, problems)
    )
    problems += _only_for_tcp(own_algorithm, destinations)
    problems += _unprotected_default(service, destinations)
    problems += exceeded(service, destinations)
    problems += unknown(given.ignored, parameters, (*SERVICE_PARAMETERS, *DESTINATION_PARAMETERS))
    if not problems:  # each value alone is right
        problems += misplaced(given.for_service, given.by_index, destinations)
        problems += (p for f in FEATURES if f.check for p in f.check(service, destinations, defaults))
    if problems:
        raise InvalidService(given.for_service["serviceName"], tuple(problems))
    return service, destinations


def _misspelt(ignored: Iterable[str]) -> Iterable[Problem]:
    for name in itertools.islice(ignored, MOST_NEAREST):
        if near := nearest(name):
            yield Problem(name, "", f"is unknown; did you mean {near}?")


def _warnings(
    given: _Given, service: Service, destinations: tuple[Destination, ...], defaults: Defaults
) -> Iterable[str]:
    yield from _gaps(given.by_index)
    yield from _contradictions(given.modern, given.spelled)
    for feature in FEATURES:
        if feature.warn:
            yield from feature.warn(service, destinations, defaults)


def name_in(parameters: Mapping[str, str]) -> str:
    """Return the name that the parameters give the service; empty when they give none."""
    name = parameters.get("serviceName")
    if name:
        return name
    given = (key for key in sorted(parameters) if parameters[key] and service_parameter(key) == "serviceName")
    return parameters.get(next(given, ""), "")


def service_parameter(given: str) -> str | None:
    """Return the public name of the service's parameter that has this name in any case, or None."""
    return _ANY_CASE.get(given.lower())


def _preferred(known: str, spellings: list[str]) -> str:
    """Return the exact one of several spellings of a parameter, or the alphabetically first."""
    return known if known in spellings else min(spellings)


def _contradictions(modern: Mapping[str, str], spelled: Mapping[str, list[str]]) -> Iterable[str]:
    """Yield a warning for a parameter with several spellings and values."""
    for known, spellings in sorted(spelled.items()):
        taken = _preferred(known, spellings)
        for other in sorted(spellings):
            if modern[other] != modern[taken]:
                yield f"{other} has no effect: it is another spelling of {taken}, which has a different value"


def _checked_pattern(value: str) -> str:
    if re.search(r"\{\d*$", value):
        raise ValueError(
            f"{value!r} has no }} for its {{; a comma separates patterns, so set SEPARATOR to another text"
        )
    return checked_line(value)


def _checked_part(value: str) -> str:
    if not value.strip("/?.:"):
        raise ValueError(f"{value!r} contains only delimiters, so no part of a path equals it")
    return checked_line(value)


def certificate_of(service: Service) -> Certificate | None:
    """Return the certificate in serviceCert, named after the first domain. Raises InvalidCertificate."""
    if service.service_cert is None:
        return None
    name = next((domain for d in service.destinations for domain in d.service_domain), service.service_name)
    pem = service.service_cert.get_secret_value().replace("\\n", "\n")
    return read_certificate(name, pem)._replace(of_service=True)


def blamed(parameters: Mapping[str, str], complaint: str, lines: Iterable[str]) -> str | None:
    """Return the parameter that an error of HAProxy refers to: the error quotes its value, or its lines contain it."""
    quoted = re.findall(r"'([^']+)'|<([^>]+)>", complaint)
    whole = {text for pair in quoted for text in pair}
    by_quote = _holding({name: value for name, value in parameters.items() if value in whole}, whole)
    return by_quote or _holding(parameters, lines)


def _holding(parameters: Mapping[str, str], texts: Iterable[str]) -> str | None:
    found = {
        len(part): name
        for text in map(_bare, texts)
        for name, value in parameters.items()
        if name not in ("serviceName", "aclName", "port")  # they are in every name
        for part in map(_bare, {value, *value.split(","), *value.splitlines()})
        if part and part in text
    }
    return found[max(found)] if found else None


def _bare(text: str) -> str:
    """Return a text without quoting and with single spaces."""
    return " ".join(re.sub(r"[\\'\"]", "", text).split())


def deprecated(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the old names among the parameters, each with the new one."""
    return {name: DEPRECATED[name] for name in parameters if name in DEPRECATED}


def _modern(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters under current names; a new name takes precedence over the old one."""
    modern = {name: value for name, value in parameters.items() if name not in DEPRECATED}
    for feature in FEATURES:
        if feature.modern:
            modern |= feature.modern(parameters)
    return modern


def _checked_domain_or_pattern(value: str) -> str:
    """A regular expression, unless it begins with a wildcard, which is always compared as an ending."""
    return checked_domain(value) if value.lstrip().startswith("*") else checked_line(value)


def _only_for_tcp(algorithm: str, destinations: Iterable[Destination]) -> Iterable[Problem]:
    """`algorithm` is the one that the service itself gave."""
    named = any(destination.req_mode == "http" and destination.service_domain for destination in destinations)
    if named and "ssl_sni" in algorithm:
        yield Problem(
            "serviceDomainAlgo", algorithm, "compares the names of tcp destinations; for http, write hdr_…(host)"
        )


def _unprotected_default(service: Service, destinations: tuple[Destination, ...]) -> Iterable[Problem]:
    """Yield a problem if unmatched requests would bypass the protection of other destinations.

    They go to the first destination, whatever their path.
    """
    first = destinations[0]
    if not service.is_default_backend or first.req_mode != "http":
        return
    if better := better_protected(first, told_apart(destinations)):
        others = ", ".join(str(destination.index) for destination in better)
        yield Problem(
            "isDefaultBackend",
            "",
            f"leads to the first destination, which is less protected than destination {others};"
            " put the best protected destination first, or protect all equally",
        )


def _checked(service: Service, destination: Destination, https_only: bool, problems: list[Problem]) -> Destination:
    """Return the destination with its paths and domains, whose form depends on how they are compared."""
    if destination.req_mode == "http" and "sni" in destination.path_type:
        rule = "compares TLS server names, for sni destinations alone; write path_beg, path_reg or another path_…"
        problems.append(Problem("pathType" + destination.suffix, destination.path_type, rule))
    whole_paths = destination.req_mode == "http" and destination.path_type in ("path_beg", "path")
    algorithm = service.service_domain_algo or ""
    expression = "hdr_reg(" in algorithm if destination.req_mode == "http" else "reg" in algorithm
    between_delimiters = destination.path_type.startswith(("path_dir", "path_dom"))
    check_path = checked_path if whole_paths else _checked_part if between_delimiters else checked_line
    if destination.path_type.startswith("path_reg"):
        check_path = _checked_pattern
    checks: dict[str, Callable[[str], str]] = {
        "servicePath": check_path,
        "servicePathExclude": check_path,
        "serviceDomain": _checked_domain_or_pattern if expression else checked_domain,
    }
    checked: dict[str, object] = {"https_only": https_only or destination.https_only}
    for name, check in checks.items():
        field = DESTINATION_PARAMETERS[name]
        given = getattr(destination, field)
        try:
            checked[field] = tuple(map(check, given))
        except ValueError as error:
            problems.append(Problem(name + destination.suffix, without_secrets_in_text(",".join(given)), str(error)))
    return destination.model_copy(update=checked)


def _gaps(by_index: Mapping[int, dict[str, str]]) -> Iterable[str]:
    """Yield warnings about the numbers behind the dots. All destinations are used nevertheless."""
    indexes = sorted(index for index, given in by_index.items() if index and any(given.values()))
    founded = [index for index in indexes if _is_founded(by_index[index])]
    missing = [str(index) for index in range(1, max(founded, default=0)) if index not in founded]
    if missing:
        yield f"destinations go up to {founded[-1]}, but there is none with the number {', '.join(missing)}"
    for index in indexes:
        if index not in founded:
            given = ", ".join(f"{name}.{index}" for name in sorted(by_index[index]))
            yield f"{given} has no effect: a destination needs one of {', '.join(f'{n}.{index}' for n in _FOUNDING)}"


def _is_founded(given: Mapping[str, str]) -> bool:
    return any(given.get(key) for key in _FOUNDING)


def nearest(name: str) -> str | None:
    """Return the public parameter that a misspelt one probably means."""
    base = name.partition(".")[0]
    if len(base) > LONGEST_NAME:
        return None
    return nearest_name(base, [*DESTINATION_PARAMETERS, *SERVICE_PARAMETERS], 0.8)


def _destinations(
    by_index: Mapping[int, dict[str, str]], defaults: Defaults, problems: list[Problem]
) -> Iterable[Destination]:
    """Return one destination for each index, or one of the plain parameters if there is no index. A plain parameter is
    the default of an indexed one."""
    plain = {"reqMode": defaults.req_mode} | {key: value for key, value in by_index.get(0, {}).items() if value}
    everywhere = {"httpsOnly": "true"} if is_true(plain.get("httpsOnly", "")) else {}
    numbered = sorted(i for i, given in by_index.items() if i and _is_founded(given))
    for index in numbered or [0]:
        own = {key: value for key, value in by_index.get(index, {}).items() if value}
        suffix = f".{index}" if index else ""
        destination = _validate(Destination, plain | own | everywhere, suffix, defaults.separator, problems, own=own)
        if destination.req_mode == "http" and destination.service_domain and not destination.service_path:
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
    """Return the model of the given values; add problems to `problems`, under the names that the author wrote."""
    names = model.by_public_name()
    values = {key: _split(model, names[key], value, separator) for key, value in given.items() if value}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong_names = set()
        for wrong in error.errors(include_url=False, include_input=False):
            key = str(wrong["loc"][0])
            if key not in wrong_names:  # the first wrong item of a list is enough
                wrong_names.add(key)
                rule = rule_of(wrong)
                value = without_secrets_in_text(shown_value(key, str(given.get(key, ""))))
                problems.append(Problem(key + suffix if key in own else key, value, without_secrets_in_text(rule)))
        good = {key: value for key, value in values.items() if key not in wrong_names}
        return cast(M, model.model_construct(None, **{names[key]: value for key, value in good.items()}))


def _split(model: type[M], field: str, value: str, separator: str) -> object:
    if get_origin(model.model_fields[field].annotation) is not tuple or field == "req_path_search_replace":
        return value
    return [item.strip() for item in value.split(separator) if item.strip()] if separator else [value]
