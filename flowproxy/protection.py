"""Which destinations of a service are protected better than others: no spelling of a path may confuse them."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.model import Destination


def better_protected(destination: Destination, siblings: Iterable[Destination]) -> tuple[Destination, ...]:
    """Return those of the siblings that turn away a request which this destination takes."""
    return tuple(other for other in siblings if other.req_mode == "http" and _turns_away(other, destination))


def compares_normal_forms(destination: Destination, siblings: Iterable[Destination]) -> bool:
    """Return whether requests for this destination are looked at in the normal form of their paths too."""
    return bool(destination.service_path_exclude) or bool(better_protected(destination, siblings))


def _turns_away(other: Destination, destination: Destination) -> bool:
    asks_users = destination.ignore_authorization and not other.ignore_authorization
    asks_certificate = other.verify_client_ssl and not destination.verify_client_ssl
    asks_tls = (other.deny_http or other.https_only) and not (destination.deny_http or destination.https_only)
    allows_less = bool(other.allowed_methods) and not _is_within(destination.allowed_methods, other.allowed_methods)
    denies_more = not set(other.denied_methods) <= set(destination.denied_methods)
    return asks_users or asks_certificate or asks_tls or allows_less or denies_more


def _is_within(methods: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    return bool(methods) and set(methods) <= set(allowed)
