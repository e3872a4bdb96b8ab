"""The answers of the API, built from services, routes and conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowproxy.api.schemas import (
    CallAnswer,
    ConflictFields,
    DestinationFields,
    Explanation,
    OverlapFields,
    RouteFields,
    Schema,
    ServerFields,
    ServiceAnswer,
    ServiceFields,
    UserAgents,
)
from flowproxy.control.outcome import Outcome
from flowproxy.features import Parameters
from flowproxy.haproxy.commands import ServerHealth
from flowproxy.routing.conditions import Request
from flowproxy.routing.meaning import Route, covers_host
from flowproxy.routing.overlap_level import WARNING
from flowproxy.routing.overlaps import Overlap
from flowproxy.routing.table import Conflict, RouteTable
from flowproxy.services.model import Destination, Service
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.services.registry import Entry
from flowproxy.text.secrets import header_value, is_secret, shown, shown_value, without_secrets

_IN_MESSAGE = 5  # remarks
_LISTED = 100  # overlaps and conflicts of one service
_ONLY_HAPROXY = "; but only HAProxy can evaluate some patterns (see unevaluated), and they may lead elsewhere"


def service_fields(service: Service) -> ServiceFields:
    """Return a service as `config?type=json` shows it, without passwords and keys."""
    return ServiceFields(**_service_values(service))


def refusal(message: str, name: str = "") -> CallAnswer:
    """Return the answer to a call that changed nothing."""
    return CallAnswer(status="NOK", message=message, service_name=name)


def done(message: str = "", service: Service | None = None) -> CallAnswer:
    """Return the answer to a call that succeeded."""
    values = _service_values(service) if service else {}
    return CallAnswer(status="OK", message=message, **values)


def accepted(service: Service, table: RouteTable, overlaps: Sequence[Overlap]) -> CallAnswer:
    """Return the answer to a call that registered a service, with its conflicts and overlaps."""
    name = service.service_name
    conflicts = _conflicts(name, table)
    lost = [_lost(conflict, table) for conflict in conflicts if conflict.loser == name]
    warned = [str(overlap) for overlap in overlaps if overlap.level == WARNING]
    texts = [*lost, *table.warnings_of(name), *warned]
    more = [f"and {len(texts) - _IN_MESSAGE} more"] if len(texts) > _IN_MESSAGE else []
    return CallAnswer(
        status="OK",
        message="; ".join([*texts[:_IN_MESSAGE], *more]),
        **_service_values(service),
        conflicts=conflict_fields(conflicts[:_LISTED]),
        overlaps=overlap_fields(overlaps[:_LISTED]),
    )


def conflict_fields(conflicts: Iterable[Conflict]) -> list[ConflictFields]:
    """Return conflicts as answers list them."""
    return [ConflictFields(**conflict._asdict()) for conflict in conflicts]


def overlap_fields(overlaps: Iterable[Overlap]) -> list[OverlapFields]:
    """Return overlaps as answers list them."""
    return [OverlapFields(**overlap._asdict()) for overlap in overlaps]


def service_answer(
    name: str, entry: Entry | None, outcome: Outcome, remark: str | None, overlaps: Sequence[Overlap]
) -> ServiceAnswer:
    """Return a service and its state; `entry` is None for a service whose parameters were never valid."""
    servers = outcome.configuration.servers if outcome.configuration else {}
    part = outcome.table.parts.get(name)
    backends = [backend.name for backend in part.backends] if part else []
    routes = sorted((route for _, route in part.routes), key=lambda route: route.rank) if part else []
    remarks = [remark] if remark else []
    return ServiceAnswer(
        name=name,
        origin=entry.origin if entry else None,
        created=entry.created if entry else None,
        stack=entry.stack or None if entry else None,
        parameters=shown(entry.parameters) if entry else {},
        ignored=list(entry.service.ignored) if entry else [],
        warnings=[*remarks, *(entry.service.warnings if entry else ()), *outcome.table.warnings_of(name)],
        error=outcome.quarantined.get(name),
        routes=[route_fields(route) for route in routes],
        servers={backend: [f"{s.name} {s.socket_address}" for s in servers.get(backend, ())] for backend in backends},
        conflicts=conflict_fields(_conflicts(name, outcome.table)),
        overlaps=overlap_fields(overlaps[:_LISTED]),
    )


def route_fields(route: Route) -> RouteFields:
    """Return a route as answers list it."""
    return RouteFields(
        host=route.host or "*",
        path=route.path,
        conditions=[str(condition) for condition in route.conditions],
        default=route.is_default,
        service=route.service,
        backend=route.backend,
    )


def explanation(
    url: str,
    asked: Request,
    chosen: Route | None,
    servers: Sequence[ServerHealth] | None,
    outcome: Outcome,
    remark: str | None,
) -> Explanation:
    """Return which route answers a request and why.

    Args:
        url: as the caller gave it.
        servers: the state of the route's servers in HAProxy; None when it does not answer.
        remark: a remark about the service of the route.
    """
    unevaluated = _unevaluated(asked, chosen, outcome)
    others = [
        route
        for route in outcome.table.routes
        if route is not chosen
        and (route.covers(asked) or (chosen is None and route.host and covers_host(route.host, asked.host)))
    ]
    return Explanation(
        url=without_secrets(url),
        route=route_fields(chosen) if chosen else None,
        reason=_reason(chosen, servers, remark) + (_ONLY_HAPROXY if unevaluated else ""),
        servers=[ServerFields(**server._asdict()) for server in servers or ()],
        others=[route_fields(route) for route in others],
        refused={} if chosen else dict(outcome.quarantined),
        unevaluated=unevaluated,
    )


def _conflicts(name: str, table: RouteTable) -> list[Conflict]:
    return [conflict for conflict in table.conflicts if name in (conflict.winner, conflict.loser)]


def _lost(conflict: Conflict, table: RouteTable) -> str:
    winner = table.parts.get(conflict.winner)
    if winner is None or conflict.route.startswith(("port ", "the certificate ")):
        holder = f"service {conflict.winner}" if winner else conflict.winner
        return f"{conflict.route}; {holder} has it"
    why = "whose aclName comes first" if winner.candidate.service.acl_name else "which is older"
    return f"the route {conflict.route} is served by service {conflict.winner}, {why}"


def _unevaluated(asked: Request, chosen: Route | None, outcome: Outcome) -> list[str]:
    """Return the patterns by which HAProxy may find another route: RE2 supports less than PCRE, but is never slow."""
    found = []
    for route in outcome.table.routes:
        if route.has_patterns and route.covers(asked):
            patterns = [pattern for condition in route.conditions for pattern in condition.unevaluated()]
            found += [f"route {route}: pattern {pattern} could not be evaluated here" for pattern in patterns]
        if route is chosen:
            break
    return found


def _reason(chosen: Route | None, servers: Sequence[ServerHealth] | None, remark: str | None) -> str:
    if chosen is None:
        return "no route matches; the answer is 503"
    found = f"the most specific route that matches is {chosen}"
    if servers is None:
        return f"{found}, but HAProxy does not answer"
    if not servers:
        return f"{found}, but service {chosen.service} has no server: {remark or 'no task of it is known to run'}"
    return found if any(server.is_up for server in servers) else f"{found}, but none of its servers is up"


def _service_values(service: Service) -> dict[str, Any]:
    return {
        **_echoed(ServiceFields, service, SERVICE_PARAMETERS),
        "replicas": service.replicas or 0,
        "is_global": service.replicas is None,
        "service_dest": [_destination(destination) for destination in service.destinations],
    }


def _destination(destination: Destination) -> DestinationFields:
    rewrites = [f"{rewrite.search},{rewrite.replace}" for rewrite in destination.req_path_search_replace]
    values = {
        **_echoed(DestinationFields, destination, DESTINATION_PARAMETERS),
        "index": destination.index,
        "port": str(destination.port or ""),
        "https_port": destination.https_port or 0,
        "https_redirect_code": str(destination.https_redirect_code or ""),
        "req_mode_formatted": destination.req_mode,
        "req_path_search_replace": ":".join(rewrites),
        "req_path_search_replace_formatted": rewrites,
        "service_header": {h.name: header_value(h.name, h.value) for h in destination.service_header},
        "src_port": destination.src_port or 0,
        "src_https_port": destination.src_https_port or 0,
        "user_agent": UserAgents(value=list(destination.user_agent) or None),
    }
    return DestinationFields(**values)


def _echoed(schema: type[Schema], model: Parameters, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a schema that are named after a parameter and have a value, by field name."""
    return {
        field: _readable(public, value)
        for public, field in parameters.items()
        if field in schema.model_fields and not is_secret(public) and (value := getattr(model, field)) is not None
    }


def _readable(parameter: str, value: object) -> object:
    if isinstance(value, tuple):
        return [_readable(parameter, item) for item in value]
    if isinstance(value, str):
        return shown_value(parameter, value)
    return value
