"""Services compiled into a `RouteTable`, whose maps and rules say the same as `meaning.match`.

A lookup in a map costs the same however many services there are. Rules exist only where a map cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import STAGES, WILDCARD, Route
from flowproxy.routing.parts import part_of
from flowproxy.routing.rules import rules_of
from flowproxy.routing.table import CONDITIONAL, NO_SERVICE, Conflict, Part, RouteTable, Rule
from flowproxy.services.model import Candidate
from flowproxy.text.patterns.limits import MOST_STEPS


def compile_routes(candidates: Iterable[Candidate]) -> RouteTable:
    """Return the table of all services, which does not depend on their order."""
    return Compiler().compile(candidates)


class Compiler:
    """Remembers the part of each service, so that the cost of a change depends on what changed."""

    def __init__(self) -> None:
        self._parts: Mapping[str, Part] = {}

    def compile(self, candidates: Iterable[Candidate]) -> RouteTable:
        """Return the table of exactly these services.

        It depends neither on their order nor on what was compiled before.
        """
        parts: dict[str, Part] = {}
        for candidate in candidates:
            name = candidate.service.service_name
            part = self._parts.get(name)
            if part is None or part.candidate.service is not candidate.service or part.candidate != candidate:
                part = part_of(candidate)
            parts[name] = part
        self._parts = parts
        return _table(_with_unique_backends(parts))


def _with_unique_backends(parts: Mapping[str, Part]) -> Mapping[str, Part]:
    """Give backends unique names where two services (that share an aclName) come to the same one.

    The oldest service keeps the plain name, so that no new service changes what an older one has.
    """
    names = {backend.name for part in parts.values() for backend in part.backends}
    if len(names) == sum(len(part.backends) for part in parts.values()):
        return parts
    taken: set[str] = set()
    unique = {}
    for part in sorted(parts.values(), key=lambda part: part.candidate.age):
        candidate = part.candidate
        kept = part
        if not taken.isdisjoint(backend.name for backend in part.backends):
            kept = part_of(candidate, has_unique_names=True)
        taken.update(backend.name for backend in kept.backends)
        unique[candidate.service.service_name] = kept
    return unique


def _table(parts: Mapping[str, Part]) -> RouteTable:
    conflicts: set[Conflict] = set()
    places = _places(parts, conflicts)
    maps: dict[str, dict[str, str]] = {stage: {} for stage in STAGES}
    for (stage, key), here in places.items():
        first = here[0]
        maps[stage][key] = CONDITIONAL + first.group[1] if first.conditions else first.backend
    depths = {key.partition("/")[0].count(".") for key in maps[WILDCARD]}
    templated = [part.candidate for part in parts.values() if part.candidate.service.brings_templates]
    return RouteTable(
        parts=parts,
        maps=maps,
        rules=_rules(places),
        wildcard_depths=tuple(sorted(depths, reverse=True)),
        conflicts=tuple(sorted(conflicts)),
        places=places,
        templated=tuple(c.service for c in sorted(templated, key=lambda candidate: candidate.seniority)),
    )


def _places(parts: Mapping[str, Part], conflicts: set[Conflict]) -> dict[tuple[str, str], list[Route]]:
    """Return the routes by stage and key, the most specific first; add those that lose to `conflicts`."""
    places: dict[tuple[str, str], list[Route]] = {}
    too_costly = _beyond_budget(parts.values(), conflicts)
    for name, part in parts.items():
        for place, route in part.routes:
            if not (too_costly and route.has_patterns and (name, route.group) in too_costly):
                places.setdefault(place, []).append(route)
    for place, here in places.items():
        if len(here) > 1:
            places[place] = _without_equal_claims(here, conflicts)
    return places


def _rules(places: Mapping[tuple[str, str], list[Route]]) -> dict[str, tuple[Rule, ...]]:
    """Return the rules after each map, those of one host together."""
    grouped: dict[tuple[str, str], list[list[Route]]] = {
        here[0].group: [] for here in places.values() if here[0].conditions
    }
    for here in places.values() if grouped else ():
        if here[0].group in grouped:
            grouped[here[0].group].append(here)
    rules: dict[str, list[Rule]] = {stage: [] for stage in STAGES}
    for (stage, host), group in sorted(grouped.items()):
        rules[stage] += rules_of(CONDITIONAL + host, group)
    return {stage: tuple(of_stage) for stage, of_stage in rules.items()}


def _without_equal_claims(routes: Iterable[Route], conflicts: set[Conflict]) -> list[Route]:
    """Return the routes of one place, the most specific first; of those with equal conditions only the first."""
    claimed: dict[frozenset[Condition], Route] = {}
    for route in sorted(routes, key=lambda route: route.rank):
        winner = claimed.setdefault(frozenset(route.conditions), route)
        if winner.service != route.service:
            conflicts.add(Conflict(str(route), winner.service, route.service))
    return list(claimed.values())


def _beyond_budget(parts: Iterable[Part], conflicts: set[Conflict]) -> set[tuple[str, tuple[str, str]]]:
    """Return the services, each with a stage and host, whose patterns make a request there too expensive.

    The oldest services come first, however many there are.
    """
    spent: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], str] = {}
    beyond = set()
    for part in sorted((part for part in parts if part.steps), key=lambda part: part.candidate.seniority):
        name = part.candidate.service.service_name
        for group, steps in sorted(part.steps.items()):
            oldest = first.setdefault(group, name)
            if spent.get(group, 0) + steps <= MOST_STEPS:
                spent[group] = spent.get(group, 0) + steps
                continue
            beyond.add((name, group))
            wanted = f"regular expressions for {group[1] or '*'} (all services may cost a request {MOST_STEPS} steps)"
            conflicts.add(Conflict(wanted, oldest if oldest != name else NO_SERVICE, name))
    return beyond
