"""The limits of one service: patterns, values of a list, and the size of the generated configuration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence, Sized
from typing import NamedTuple

from flowproxy.errors import Problem
from flowproxy.features import FEATURES
from flowproxy.features.feature import MOST_VALUES
from flowproxy.features.users import parse_users
from flowproxy.services.model import Destination, Service
from flowproxy.services.safeguards import better_protected, told_apart
from flowproxy.text.password_hashes import ACCEPTED, is_cheap
from flowproxy.text.patterns.cost import cost_of, search_of
from flowproxy.text.patterns.limits import (
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
)

MOST_DESTINATIONS = 1_000
MOST_ROUTES = 10_000
MOST_PORTS = 20
MOST_RULES = 2_000
# Of destinations that are protected differently.
MOST_TOLD_APART, MOST_COMPARED = 16, 2_000
MOST_WILDCARD_DEPTHS = 8  # each is one more look-up for requests to all services
MOST_LABELS = 20  # of a wildcard
MOST_TEXT = 2_000_000  # characters of all routes
MOST_USERS, MOST_HASHES = 1_000, 100  # HAProxy computes each hash when it reads the configuration
MOST_REWRITES_ALTOGETHER = 1_000  # of all destinations; a request meets those of one
_INDEXED = ("path", "path_beg")
_PLAIN = Destination()


class _Compared(NamedTuple):
    """The values of one parameter, which HAProxy compares with texts of at most `longest` characters: expressions, or
    texts that are `searched` for."""

    parameter: str
    values: tuple[str, ...]
    longest: int = LONGEST_TEXT
    for_any_host: bool = False
    searched: bool = False


class _Work(NamedTuple):
    """The work of HAProxy for one parameter per request. `number` and `length` are those of its expressions."""

    parameter: str
    steps: int
    number: int = 0
    length: int = 0
    for_any_host: bool = False


def exceeded(service: Service, destinations: Iterable[Destination]) -> list[Problem]:
    """Return a problem for each limit that a service exceeds, with the parameter and the limit."""
    destinations = tuple(destinations)
    sizes = [
        *_too_many_values(service, destinations),
        *_too_costly_users(service),
        *_too_many_ports(destinations),
        *_too_much_generated(destinations),
        *_too_many_to_tell_apart(destinations),
        *_too_many_depths(destinations),
    ]
    return sizes or list(_too_costly(service, destinations))


def _too_many_values(service: Service, destinations: Iterable[Destination]) -> Iterable[Problem]:
    given: list[tuple[str, Sized, int]] = []
    for feature in FEATURES:
        for parameter, most in feature.most.items():
            field = feature.parameters[parameter]
            if field in Service.model_fields:
                given.append((parameter, _items(getattr(service, field)), most))
            else:
                given += [(parameter + d.suffix, _items(getattr(d, field)), most) for d in destinations]
    for destination in destinations:
        if destination.path_type not in _INDEXED:
            given += [
                (f"servicePath{destination.suffix}", destination.service_path, MOST_VALUES),
                (f"servicePathExclude{destination.suffix}", destination.service_path_exclude, MOST_VALUES),
            ]
        if destination.req_mode != "http" or _method(service.service_domain_algo):
            given.append((f"serviceDomain{destination.suffix}", destination.service_domain, MOST_VALUES))
    for parameter, values, most in given:
        if len(values) > most:
            yield Problem(parameter, "", f"has {len(values)} values; it takes at most {most}")


def _items(value: Sequence[object] | str | None) -> Sized:
    """Return the values of a list, or the words of a text."""
    return value.split() if isinstance(value, str) else value or ()


def _too_costly_users(service: Service) -> Iterable[Problem]:
    """Yield problems of the users that the service itself gives; secrets and settings are the operator's."""
    named = list(parse_users(service.users or "", encrypted=service.users_pass_encrypted))
    most = MOST_HASHES if service.users_pass_encrypted else MOST_USERS
    if len(named) > most:
        kind = " with usersPassEncrypted" if service.users_pass_encrypted else ""
        yield Problem("users", "", f"has {len(named)} names; it takes at most {most}{kind}")
        return
    costly = [name for name, password, encrypted in named if password and encrypted and not is_cheap(password)]
    if costly:
        names = ", ".join(repr(name[:40]) for name in costly[:5])
        yield Problem(
            "users",
            "",
            f"the hashes of {names} may take HAProxy too long at each request, or are of an unknown kind; it takes"
            f" {ACCEPTED}",
        )


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
                yield Problem(name + destination.suffix, deepest, rule)
    if len(depths) > MOST_WILDCARD_DEPTHS:
        rule = (
            f"the wildcards have {len(depths)} different numbers of labels;"
            f" those of a service have at most {MOST_WILDCARD_DEPTHS}"
        )
        yield Problem("serviceDomain", "", rule)


def _too_many_ports(destinations: Iterable[Destination]) -> Iterable[Problem]:
    ports = {destination.src_port for destination in destinations if destination.req_mode != "http"}
    if len(ports) > MOST_PORTS:
        yield Problem("srcPort", "", f"these are {len(ports)} separate ports; a service has at most {MOST_PORTS}")


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
    """Each route of a destination is compared with each host of those that are protected better."""
    siblings = told_apart(destinations)
    if len(siblings) > MOST_TOLD_APART:
        rule = f"there are {len(siblings)} destinations that are protected differently; a service has at most"
        yield Problem("port", "", f"{rule} {MOST_TOLD_APART} of these")
        return
    compared = sum(
        _hosts(destination) * len(destination.service_path) * _hosts(other)
        for destination in siblings
        for other in better_protected(destination, siblings)
    )
    if compared > MOST_COMPARED:
        yield Problem(
            "servicePath",
            "",
            "the destinations are protected differently, and their hosts and paths can be combined in"
            f" {compared} ways; a service has at most {MOST_COMPARED}",
        )


def _hosts(destination: Destination) -> int:
    return max(len(destination.service_domain), 1)


def _has_conditions(destination: Destination) -> bool:
    names = ("service_path_exclude", "service_header", "user_agent", "path_type", "src_port", "https_port")
    return any(getattr(destination, name) != getattr(_PLAIN, name) for name in names)


def _too_costly(service: Service, destinations: tuple[Destination, ...]) -> Iterable[Problem]:
    """A request may meet all conditions of the routes, and the rewrites of one destination.

    The number of patterns is known at once, but their cost is not, so the cost is checked second.
    """
    for measure in (_counted, _measured):
        deciding: list[_Work] = []
        rewriting: list[_Work] = []
        try:
            for destination in destinations:
                deciding += map(measure, _deciding(service, destination))
                rewriting += map(measure, _rewriting(destination))
        except _NotTaken as error:
            yield error.problem
            return
        if problem := _too_much(deciding, rewriting):
            yield problem
            return


def _too_much(deciding: Collection[_Work], rewriting: Collection[_Work]) -> Problem | None:
    for_any = [work for work in deciding if work.for_any_host]
    problem = _beyond(for_any, MOST_PATTERNS_ANY_HOST, MOST_STEPS_ANY_HOST, "for requests to any host a service")
    problem = problem or _beyond(deciding, MOST_PATTERNS, MOST_STEPS, "a service")
    together = _Work(
        "", sum(w.steps for w in deciding), sum(w.number for w in deciding), sum(w.length for w in deciding)
    )
    for work in rewriting:
        problem = problem or _beyond([together, work], MOST_PATTERNS + MOST_REWRITES, MOST_STEPS, "a service")
    counts = [work._replace(steps=0, length=0) for work in rewriting]
    return problem or _beyond(counts, MOST_REWRITES_ALTOGETHER, MOST_STEPS, "a service")


def _beyond(known: Iterable[_Work], most: int, most_steps: int, whose: str) -> Problem | None:
    """Yield the first parameter with which the total work exceeds its limit."""
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


def _deciding(service: Service, destination: Destination) -> Iterable[_Compared]:
    """Yield what a destination compares with each request that its routes may match."""
    suffix, domains = destination.suffix, destination.service_domain
    if destination.user_agent:
        yield _Compared(f"userAgent{suffix}", destination.user_agent, LONGEST_AGENT, searched=True)
    is_sni = destination.req_mode == "sni"  # its connections come to a separate port
    method = _method(destination.path_type) or ""
    for name, paths in (
        ("servicePath", destination.service_path),
        ("servicePathExclude", destination.service_path_exclude),
    ):
        if method == "reg":
            longest = LONGEST_HOST if is_sni else LONGEST_TEXT
            yield _Compared(name + suffix, paths, longest, for_any_host=not domains and not is_sni)
        elif method in SEARCHING:
            yield _Compared(name + suffix, paths, searched=True)
    if _method(service.service_domain_algo) == "reg":
        patterns = tuple(domain for domain in domains if not domain.startswith("*"))
        for_any_host = destination.req_mode == "http"
        yield _Compared(f"serviceDomain{suffix}", patterns, LONGEST_HOST, for_any_host=for_any_host)


def _rewriting(destination: Destination) -> Iterable[_Compared]:
    searches = tuple(rewrite.search for rewrite in destination.req_path_search_replace)
    if searches:
        yield _Compared(f"reqPathSearchReplace{destination.suffix}", searches)


class _NotTaken(Exception):
    """Yield patterns whose work cannot be bounded."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _counted(compared: _Compared) -> _Work:
    """Return the work without the steps, which are slow to compute."""
    if compared.searched:
        return _Work(compared.parameter, 0)
    number, length = len(compared.values), _length(compared.values)
    return _Work(compared.parameter, 0, number, length, compared.for_any_host)


def _measured(compared: _Compared) -> _Work:
    """Raise _NotTaken."""
    if compared.searched:
        return _Work(compared.parameter, search_of(compared.values, compared.longest).steps)
    steps = 0
    for pattern in compared.values:
        try:
            steps += cost_of(pattern, compared.longest).steps
        except ValueError as error:
            raise _NotTaken(Problem(compared.parameter, pattern, str(error))) from None
    return _counted(compared)._replace(steps=steps)


def _method(comparison: str | None) -> str | None:
    """Return the matching method in a pathType or a serviceDomainAlgo, unless it is equality."""
    found = re.search(r"(?:hdr|path)_([a-z]+)|-m +(\w+)", comparison or "")
    method = (found[1] or found[2]) if found else None
    return None if method == "str" else method


def _length(values: Iterable[str]) -> int:
    return sum(map(len, values))
