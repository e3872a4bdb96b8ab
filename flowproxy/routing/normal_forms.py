"""Routes by the normal form of a path, so that no spelling of it reaches a less protected destination of a service."""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.routing.backends import backends_of
from flowproxy.routing.claims import Claim, conditions_of, hosts_of, path_method, shortest
from flowproxy.routing.conditions import Condition
from flowproxy.routing.meaning import covers_host, is_wildcard
from flowproxy.services.model import Destination, Service
from flowproxy.text.paths import comparable

_MOST_FORMS = 3  # of one destination against another; where paths are nested deeper, the protected one gets them


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
        preferred = list(_preferred_forms(other, destination))
        every = [_form(other, other.service_path, destination, ())]
        for backend, source_port in backends_of(service, other, has_unique_names=has_unique_names):
            theirs = conditions_of(other, source_port)
            for host, of_host in hosts_of(service, other):
                for claim in claims:
                    narrowed = _narrowed(claim.host, host)
                    if narrowed is None:
                        continue
                    own = [condition for condition in claim.conditions if condition.decides]
                    # A more specific host wins whatever the paths are.
                    for form in every if narrowed else preferred:
                        conditions = {*own, *theirs, *of_host, *narrowed, *form}
                        yield claim._replace(conditions=tuple(conditions)), backend.name


def _preferred_forms(other: Destination, destination: Destination) -> Iterable[tuple[Condition, ...]]:
    """Yield the conditions on normal forms that belong to the other destination rather than to this one.

    As for paths as they are sent, the longer path decides, and an exact path wins over an equal beginning. Paths that
    are compared in neither way count as `/`. In doubt the other one gets the request, since it is better protected.
    """
    theirs, own = set(other.service_path), set(destination.service_path)
    if _is_in_maps(other) and _is_in_maps(destination):
        yield from _nested_forms(other, theirs, destination, own)
    elif _is_in_maps(destination):
        wins_ties = _is_exact(destination) and _precedes(destination, other)
        yield _form(other, theirs, destination, own if wins_ties else own - {"/"})
    else:
        longer = theirs - {"/"} if _is_in_maps(other) else set()
        if longer:
            yield _form(other, longer, destination, ())
        if theirs - longer:
            yield _form(other, theirs - longer, destination, own if _precedes(destination, other) else ())


def _nested_forms(
    other: Destination, theirs: set[str], destination: Destination, own: set[str]
) -> Iterable[tuple[Condition, ...]]:
    """Yield the conditions for paths that maps find, which may be nested in each other."""
    wins_ties = _is_exact(destination) and not _is_exact(other)
    for _ in range(_MOST_FORMS - 1):
        mine = {path for path in own if _extends(path, theirs) or (wins_ties and path in theirs)}
        yield _form(other, theirs, destination, mine)
        theirs = {path for path in theirs if _extends(path, mine) or (not wins_ties and path in mine)}
        if not theirs:
            return
    yield _form(other, theirs, destination, ())


def _precedes(destination: Destination, other: Destination) -> bool:
    """Return whether a destination gets the requests that both take by paths counting as `/`, as in `Route.rank`."""
    return (-_weight(destination), destination.index) < (-_weight(other), other.index)


def _weight(destination: Destination) -> int:
    """Return the number of conditions on requests that a destination takes by a path that counts as `/`."""
    return len(conditions_of(destination, destination.src_port)) + (path_method(destination) != "beg")


def _is_exact(destination: Destination) -> bool:
    return path_method(destination) == "str"


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
