"""The certificates of services (serviceCert): each is shown only for hosts whose `/` route its service has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flowproxy.routing.meaning import Route
from flowproxy.routing.table import FOLDER, NO_SERVICE, Conflict, RouteTable
from flowproxy.services.certificate import Certificate
from flowproxy.services.model import Candidate
from flowproxy.services.parse import certificate_of


def with_those_of_services(
    given: Mapping[str, Certificate], candidates: Iterable[Candidate], table: RouteTable
) -> tuple[dict[str, Certificate], tuple[Conflict, ...]]:
    """Return the certificates by name, those of the folder first, then those of services from the oldest on.

    The certificate of a service is left out, which is a conflict, when the service may not show it for one of its
    names: it does not have the route of `/` there (of several routes with different conditions the oldest service
    counts), or a certificate of the folder or of an older service is for that name or covers it.

    Args:
        given: the certificates of the folder, by name.
        candidates: the services.
        table: their routes.
    """
    bringing = [candidate for candidate in candidates if candidate.service.service_cert]
    certificates = dict(given)
    if not bringing:
        return certificates, ()
    known = {certificate.pem for certificate in given.values()}
    shown = {domain: FOLDER for name, certificate in given.items() for domain in (name, *certificate.domains)}
    roots = _roots(table)
    ages = {name: _age(part.candidate) for name, part in table.parts.items()}
    conflicts = []
    for candidate in sorted(bringing, key=_age):
        name, certificate = candidate.service.service_name, certificate_of(candidate.service)
        if certificate is None or certificate.pem in known:
            continue
        clash = next(_clashes(certificate, name, shown, roots, ages), None)
        if clash:
            domain, holder = clash
            conflicts.append(Conflict(f"the certificate for {domain}", holder, name))
            continue
        known.add(certificate.pem)
        certificates[certificate.name] = certificate
        shown |= dict.fromkeys((certificate.name, *certificate.domains), name)
    return certificates, tuple(conflicts)


def _age(candidate: Candidate) -> tuple[float, str]:
    return (candidate.created, candidate.service.service_name)


def _clashes(
    certificate: Certificate,
    service: str,
    shown: Mapping[str, str],
    roots: Mapping[str, list[Route]],
    ages: Mapping[str, tuple[float, str]],
) -> Iterator[tuple[str, str]]:
    """Yield the names of a certificate that its service may not show it for, each with the one who may."""
    if certificate.name in shown:
        yield certificate.name, shown[certificate.name]
    for domain in certificate.domains:
        # The wildcard of a certificate stands for one label, that of a route for any number.
        showing = shown.get(domain) or shown.get(f"*.{domain.partition('.')[2]}")
        place = next((roots[pattern] for pattern in _patterns(domain) if pattern in roots), ())
        holder = min((route.service for route in _winners(place)), key=lambda name: ages[name], default=NO_SERVICE)
        if showing or holder != service:
            yield domain, showing or holder


def _patterns(domain: str) -> Iterator[str]:
    """Yield the hosts whose routes may get the requests of a name: itself, wildcards that cover it, and any host."""
    yield domain
    above = domain.removeprefix("*.").partition(".")[2]
    while above:
        yield f"*.{above}"
        above = above.partition(".")[2]
    yield ""


def _roots(table: RouteTable) -> Mapping[str, list[Route]]:
    """Return the routes of `/` by host, without those whose host or path a map cannot find."""
    places: dict[str, list[Route]] = {}
    for part in table.parts.values():
        for _, route in part.routes:
            if route.path == "/" and not any(condition.kind in ("host", "path") for condition in route.conditions):
                places.setdefault(route.host, []).append(route)
    return places


def _winners(routes: Iterable[Route]) -> Iterable[Route]:
    """Return, of routes with equal conditions, the one that gets the requests."""
    claimed: dict[frozenset[object], Route] = {}
    for route in sorted(routes, key=lambda route: route.rank):
        claimed.setdefault(frozenset(route.conditions), route)
    return claimed.values()
