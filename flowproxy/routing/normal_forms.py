"""Routes by the normal form of a path, so that no spelling of it reaches a less protected destination of a service."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.routing.backends import backends_of
from flowproxy.routing.claims import Claim, conditions_of, hosts_of, path_method, shortest
from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import covers_host, is_wildcard
from flowproxy.services.model import Destination, Service
from flowproxy.text.paths import comparable


def conditions_on_normal_form(destination: Destination) -> tuple[Condition, ...]:
    """Return the conditions that say for the normal form what the paths of the destination say for the path."""
    return _form(destination, destination.service_path, destination, ())


def diverted_claims(
    service: Service,
    destination: Destination,
    better: Iterable[Destination],
    claims: list[Claim],
    *,
    has_unique_names: bool,
) -> Iterable[tuple[Claim, str]]:
    """Yield what a destination must leave to better protected ones because of the normal form of the path.

    Args:
        service: the service of the destination.
        destination: the less protected destination.
        better: the better protected destinations of the same service.
        claims: what the less protected one asks for.
        has_unique_names: whether the backends of the service have unique names.

    Returns:
        Claims, each with the name of the backend that gets its requests.
    """
    for other in better:
        forms = list(_preferred_forms(other, destination))
        for backend, source_port in backends_of(service, other, has_unique_names=has_unique_names):
            theirs = conditions_of(other, source_port)
            for host, of_host in hosts_of(service, other):
                for claim in claims:
                    narrowed = _narrowed(claim.host, host)
                    if narrowed is None:
                        continue
                    own = [condition for condition in claim.conditions if condition.decides]
                    for form in forms:
                        conditions = {*own, *theirs, *of_host, *narrowed, *form}
                        yield claim._replace(conditions=tuple(conditions)), backend.name


def _preferred_forms(other: Destination, destination: Destination) -> Iterable[tuple[Condition, ...]]:
    """Yield the conditions on normal forms that belong to the other destination rather than to this one.

    As for paths as they are sent, the longer path decides. Paths that are compared neither as a whole nor by their
    beginning count as `/`. In doubt the other one gets the request, since it is better protected.
    """
    theirs, own = set(other.service_path), set(destination.service_path)
    longer = theirs - {"/"} if _is_in_maps(other) else set()
    if longer:
        mine = {path for path in own if _is_in_maps(destination) and _extends(path, longer)}
        yield _form(other, longer, destination, mine)
        within = {path for path in longer if _extends(path, mine)}
        if within:
            yield _form(other, within, destination, set())
    as_short_as_any = theirs - longer
    if as_short_as_any:
        mine = own
        if _is_in_maps(destination):
            mine = own - {"/"}
        elif not _precedes(destination, other):
            mine = set()
        yield _form(other, as_short_as_any, destination, mine)


def _precedes(destination: Destination, other: Destination) -> bool:
    """Return whether a destination gets the requests that both take by paths counting as `/`, as in `Route.rank`."""
    return (-_weight(destination), destination.index) < (-_weight(other), other.index)


def _weight(destination: Destination) -> int:
    """Return the number of conditions on requests that a destination takes by a path that counts as `/`."""
    return len(conditions_of(destination, destination.src_port)) + (path_method(destination) != "beg")


def _is_in_maps(destination: Destination) -> bool:
    return path_method(destination) in ("beg", "str")


def _extends(path: str, beginnings: Iterable[str]) -> bool:
    return any(path != beginning and path.startswith(beginning) for beginning in beginnings)


def _form(
    other: Destination, theirs: Iterable[str], destination: Destination, mine: Iterable[str]
) -> tuple[Condition, ...]:
    """Return the conditions that a normal form is one of another destination's paths, and none of this one's."""
    conditions = [_compared("normal", other, theirs)]
    if mine:
        conditions.append(_compared("normal-outside", destination, mine))
    if other.service_path_exclude:
        conditions.append(_compared("normal-outside", other, other.service_path_exclude))
    return tuple(conditions)


def _compared(kind: str, destination: Destination, values: Iterable[str]) -> Condition:
    how = path_method(destination)
    if not how.startswith("reg"):
        values = {comparable(value) for value in values}
    return Condition(kind, how, tuple(shortest(values) if how == "beg" else sorted(values)))


def _narrowed(host: str, other: str) -> tuple[Condition, ...] | None:
    """Return the condition that a request to one host is for the other host too.

    Empty when every request to the first is, None when no request is.
    """
    if other in ("", host):
        return ()
    if host and not is_wildcard(host):
        return () if covers_host(other, host) else None
    if is_wildcard(host) and is_wildcard(other) and host.endswith(other[1:]):
        return ()
    if not covers_host(host, other.removeprefix("*.")):
        return None
    return (Condition("host", "end -i" if is_wildcard(other) else "str -i", (other.removeprefix("*"),)),)
