"""What one service may ask for altogether: patterns, values of a list, and the size of what is generated from them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from flowproxy.errors import Problem
from flowproxy.model import Destination, Service
from flowproxy.patterns import (
    LONGEST_AGENT,
    LONGEST_HOST,
    LONGEST_PATTERNS,
    LONGEST_TEXT,
    MOST_PATTERNS,
    MOST_PATTERNS_ANY_HOST,
    MOST_REWRITES,
    MOST_STEPS,
    MOST_STEPS_ANY_HOST,
    SEARCHING,
    cost_of,
    search_of,
)
from flowproxy.safeguards import told_apart

MOST_DESTINATIONS = 1_000
MOST_ROUTES = 10_000
MOST_PORTS = 20
MOST_RULES = 2_000
MOST_HOSTS_TOLD_APART = 200
MOST_WILDCARD_DEPTHS = 8  # each is one more look-up for requests to all services
MOST_LABELS = 20  # of a wildcard
MOST_TEXT = 2_000_000  # characters of all routes
MOST_VALUES = 200  # that are compared one after the other, rather than found in an index
# Without an index; servicePathExclude has one where paths are compared as they are written.
_SERVICE_LISTS = {
    "addReqHeader": 100,  # a message has at most 101 headers
    "setReqHeader": 100,
    "delReqHeader": 100,
    "addResHeader": 100,
    "setResHeader": 100,
    "delResHeader": 100,
}
_DESTINATION_LISTS = {
    "serviceHeader": 40,  # a rule has place for 64 words
    "userAgent": MOST_VALUES,
    "allowedMethods": MOST_VALUES,
    "deniedMethods": MOST_VALUES,
    "redirectFromDomain": MOST_VALUES,
    "reqPathSearchReplace": MOST_REWRITES,
}
_WORDS = {"compressionAlgo": 10, "compressionType": MOST_VALUES}
_INDEXED = ("path", "path_beg")
_PLAIN = Destination()


class _Work(NamedTuple):
    """What one parameter has HAProxy do for a request. `number` and `length` are those of its regular expressions."""

    parameter: str
    steps: int
    number: int = 0
    length: int = 0
    for_any_host: bool = False


def exceeded(service: Service, destinations: Iterable[Destination]) -> list[Problem]:
    """Return what a service asks too much of, each with the parameter and its limit."""
    destinations = tuple(destinations)
    sizes = [
        *_too_many_values(service, destinations),
        *_too_many_ports(destinations),
        *_too_much_generated(destinations),
        *_too_many_to_tell_apart(destinations),
        *_too_many_depths(destinations),
    ]
    return sizes or list(_too_costly(service, destinations))


def _too_many_values(service: Service, destinations: Iterable[Destination]) -> Iterable[Problem]:
    given = [(name, getattr(service, _field(name)), most) for name, most in _SERVICE_LISTS.items()]
    given += [(name, (getattr(service, _field(name)) or "").split(), most) for name, most in _WORDS.items()]
    for destination in destinations:
        suffix = _suffix(destination)
        given += [(n + suffix, getattr(destination, _field(n)), most) for n, most in _DESTINATION_LISTS.items()]
        if destination.path_type not in _INDEXED:
            given += [
                (f"servicePath{suffix}", destination.service_path, MOST_VALUES),
                (f"servicePathExclude{suffix}", destination.service_path_exclude, MOST_VALUES),
            ]
        if destination.req_mode != "http" or _method(service.service_domain_algo):
            given.append((f"serviceDomain{suffix}", destination.service_domain, MOST_VALUES))
    for parameter, values, most in given:
        if len(values) > most:
            yield Problem(parameter, "", f"has {len(values)} values; it takes at most {most}")


def _too_many_depths(destinations: Iterable[Destination]) -> Iterable[Problem]:
    depths = set()
    for destination in destinations:
        if destination.req_mode != "http":
            continue
        for name, domains in (
            ("serviceDomain", destination.service_domain),
            ("redirectFromDomain", destination.redirect_from_domain),
        ):
            wildcards = [domain for domain in domains if domain.startswith("*.")]
            depths |= {domain.count(".") for domain in wildcards}
            if deepest := next((domain for domain in wildcards if domain.count(".") > MOST_LABELS), None):
                rule = f"has {deepest.count('.')} labels behind the *; a wildcard has at most {MOST_LABELS}"
                yield Problem(name + _suffix(destination), deepest, rule)
    if len(depths) > MOST_WILDCARD_DEPTHS:
        rule = (
            f"the wildcards have {len(depths)} different numbers of labels;"
            f" those of a service have at most {MOST_WILDCARD_DEPTHS}"
        )
        yield Problem("serviceDomain", "", rule)


def _too_many_ports(destinations: Iterable[Destination]) -> Iterable[Problem]:
    ports = {destination.src_port for destination in destinations if destination.req_mode != "http"}
    if len(ports) > MOST_PORTS:
        yield Problem("srcPort", "", f"these are {len(ports)} ports of their own; a service has at most {MOST_PORTS}")


def _too_much_generated(destinations: tuple[Destination, ...]) -> Iterable[Problem]:
    if len(destinations) > MOST_DESTINATIONS:
        rule = f"there are {len(destinations)} destinations; a service has at most {MOST_DESTINATIONS}"
        yield Problem("port", "", rule)
    counted = [(max(len(d.service_domain), 1), d) for d in destinations]
    routes = sum(hosts * len(d.service_path) + len(d.redirect_from_domain) for hosts, d in counted)
    if routes > MOST_ROUTES:
        rule = f"with every serviceDomain these are {routes} routes; a service has at most {MOST_ROUTES}"
        yield Problem("servicePath", "", rule)
        return
    text = sum(
        hosts * _length(d.service_path) + len(d.service_path) * _length(d.service_domain) for hosts, d in counted
    )
    text += sum(_length(d.service_path_exclude) + _length(d.user_agent) for d in destinations)
    if text > MOST_TEXT:
        rule = f"with every serviceDomain the routes have {text} characters; a service has at most {MOST_TEXT}"
        yield Problem("servicePath", "", rule)
    rules = sum(hosts for hosts, d in counted if _has_conditions(d))
    if rules > MOST_RULES:
        what = "servicePathExclude, serviceHeader, userAgent, pathType or srcPort"
        yield Problem(
            "serviceDomain",
            "",
            f"each host of a destination with {what} needs a rule of its own; these are {rules}, and a service has at"
            f" most {MOST_RULES}",
        )


def _too_many_to_tell_apart(destinations: tuple[Destination, ...]) -> Iterable[Problem]:
    """Each host of a destination is compared with each of those that are protected differently."""
    siblings = told_apart(destinations)
    hosts = sum(max(len(destination.service_domain), 1) for destination in siblings)
    if hosts > MOST_HOSTS_TOLD_APART:
        yield Problem(
            "serviceDomain",
            "",
            f"the destinations are protected differently and have {hosts} hosts altogether; such a service has at most"
            f" {MOST_HOSTS_TOLD_APART}",
        )


def _has_conditions(destination: Destination) -> bool:
    names = ("service_path_exclude", "service_header", "user_agent", "path_type", "src_port", "https_port")
    return any(getattr(destination, name) != getattr(_PLAIN, name) for name in names)


def _too_costly(service: Service, destinations: tuple[Destination, ...]) -> Iterable[Problem]:
    """A request may meet all that routes depend on, and the rewrites of one destination."""
    deciding: list[_Work] = []
    rewriting: list[_Work] = []
    try:
        for destination in destinations:
            deciding += _deciding(service, destination)
            rewriting += _rewriting(destination)
    except _NotTaken as error:
        yield error.problem
        return
    for_any = [work for work in deciding if work.for_any_host]
    problem = _beyond(for_any, MOST_PATTERNS_ANY_HOST, MOST_STEPS_ANY_HOST, "for requests to any host a service")
    problem = problem or _beyond(deciding, MOST_PATTERNS, MOST_STEPS, "a service")
    together = _Work(
        "", sum(w.steps for w in deciding), sum(w.number for w in deciding), sum(w.length for w in deciding)
    )
    for work in rewriting:
        problem = problem or _beyond([together, work], MOST_PATTERNS + MOST_REWRITES, MOST_STEPS, "a service")
    if problem:
        yield problem


def _beyond(known: Iterable[_Work], most: int, most_steps: int, whose: str) -> Problem | None:
    """The first parameter with which the work is more than it may be altogether."""
    number = length = steps = 0
    for work in known:
        number, length, steps = number + work.number, length + work.length, steps + work.steps
        for unit, found, limit in (
            ("regular expressions", number, most),
            ("characters of regular expressions", length, LONGEST_PATTERNS),
            ("steps to compare one request with its values", steps, most_steps),
        ):
            if found > limit:
                rule = f"{whose} has at most {limit} {unit}, and with these there are {found}"
                if steps > most_steps and work.number:
                    rule += "; begin regular expressions with ^, and write [^/]* for .*, so that they take fewer"
                return Problem(work.parameter, "", rule)
    return None


def _deciding(service: Service, destination: Destination) -> Iterable[_Work]:
    """What a destination has compared with each request that its routes may be for."""
    suffix, domains = _suffix(destination), destination.service_domain
    if destination.user_agent:
        yield _Work(f"userAgent{suffix}", search_of(destination.user_agent, LONGEST_AGENT).steps)
    is_sni = destination.req_mode == "sni"  # whose connections come to a port of its own
    method = _method(destination.path_type) or ""
    for name, paths in (
        ("servicePath", destination.service_path),
        ("servicePathExclude", destination.service_path_exclude),
    ):
        if method == "reg":
            longest = LONGEST_HOST if is_sni else LONGEST_TEXT
            yield _matching(name + suffix, paths, longest)._replace(for_any_host=not domains and not is_sni)
        elif method in SEARCHING:
            yield _Work(name + suffix, search_of(paths).steps)
    if _method(service.service_domain_algo) == "reg":
        patterns = tuple(domain for domain in domains if not domain.startswith("*"))
        for_any_host = destination.req_mode == "http"
        yield _matching(f"serviceDomain{suffix}", patterns, LONGEST_HOST)._replace(for_any_host=for_any_host)


def _rewriting(destination: Destination) -> Iterable[_Work]:
    searches = tuple(rewrite.search for rewrite in destination.req_path_search_replace)
    if searches:
        yield _matching(f"reqPathSearchReplace{_suffix(destination)}", searches)


class _NotTaken(Exception):
    """A pattern whose work cannot be bounded."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _matching(parameter: str, patterns: tuple[str, ...], longest: int = LONGEST_TEXT) -> _Work:
    """Raise _NotTaken."""
    steps = 0
    for pattern in patterns:
        try:
            steps += cost_of(pattern, longest).steps
        except ValueError as error:
            raise _NotTaken(Problem(parameter, pattern, str(error))) from None
    return _Work(parameter, steps, len(patterns), _length(patterns))


def _method(comparison: str | None) -> str | None:
    """The matching method in a pathType or a serviceDomainAlgo, if it is not for equal texts."""
    found = re.search(r"(?:hdr|path)_([a-z]+)|-m +(\w+)", comparison or "")
    method = (found[1] or found[2]) if found else None
    return None if method == "str" else method


def _field(parameter: str) -> str:
    return re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", parameter)


def _length(values: Iterable[str]) -> int:
    return sum(map(len, values))


def _suffix(destination: Destination) -> str:
    return f".{destination.index}" if destination.index else ""
