"""Which destinations of a service are protected better than others: no spelling of a path may confuse them."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.services.model import Destination


def told_apart(destinations: Iterable[Destination]) -> tuple[Destination, ...]:
    """Return the http destinations of a service if they are not all protected alike; otherwise none."""
    siblings = tuple(destination for destination in destinations if destination.req_mode == "http")
    return siblings if len(set(map(_protection, siblings))) > 1 else ()


def better_protected(destination: Destination, siblings: Iterable[Destination]) -> tuple[Destination, ...]:
    """Return those of the siblings that are told apart which turn away a request that this destination takes."""
    return tuple(other for other in siblings if _turns_away(other, destination))


def compares_normal_forms(destination: Destination, siblings: Iterable[Destination]) -> bool:
    """Return whether requests for this destination are looked at in the normal form of their paths too."""
    return bool(destination.service_path_exclude) or bool(better_protected(destination, siblings))


def _protection(destination: Destination) -> tuple[object, ...]:
    return (
        destination.ignore_authorization,
        destination.verify_client_ssl,
        destination.deny_http or destination.https_only,
        frozenset(destination.allowed_methods),
        frozenset(destination.denied_methods),
    )


def _turns_away(other: Destination, destination: Destination) -> bool:
    asks_users = destination.ignore_authorization and not other.ignore_authorization
    asks_certificate = other.verify_client_ssl and not destination.verify_client_ssl
    asks_tls = (other.deny_http or other.https_only) and not (destination.deny_http or destination.https_only)
    allows_less = bool(other.allowed_methods) and not _is_within(destination.allowed_methods, other.allowed_methods)
    denies_more = not set(other.denied_methods) <= set(destination.denied_methods)
    return asks_users or asks_certificate or asks_tls or allows_less or denies_more


def _is_within(methods: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    return bool(methods) and set(methods) <= set(allowed)
