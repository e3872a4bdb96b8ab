"""Which destinations of a service are protected better than others: no spelling of a path may confuse them."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.features import FEATURES
from flowproxy.services.model import Destination

_PROTECTIONS = [feature.protection for feature in FEATURES if feature.protection]


def told_apart(destinations: Iterable[Destination]) -> tuple[Destination, ...]:
    """Return the http destinations of a service if their protection differs; otherwise an empty sequence."""
    siblings = tuple(destination for destination in destinations if destination.req_mode == "http")
    return siblings if len(set(map(_protection, siblings))) > 1 else ()


def better_protected(destination: Destination, siblings: Iterable[Destination]) -> tuple[Destination, ...]:
    """Return the siblings that turn away a request that this destination takes."""
    return tuple(other for other in siblings if _turns_away(other, destination))


def compares_normal_forms(destination: Destination, siblings: Iterable[Destination]) -> bool:
    """Return whether requests for this destination are also compared by the normal form of their paths."""
    return bool(destination.service_path_exclude) or bool(better_protected(destination, siblings))


def _protection(destination: Destination) -> tuple[object, ...]:
    return tuple(protection.level(destination) for protection in _PROTECTIONS)


def _turns_away(other: Destination, destination: Destination) -> bool:
    return any(protection.is_better(other, destination) for protection in _PROTECTIONS)
