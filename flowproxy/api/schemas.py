"""The JSON of the API, in the names of the system we replace: every key, always there (docs/reference/api.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowproxy.control.reconciler import Outcome
from flowproxy.haproxy.commands import ServerHealth
from flowproxy.routing.overlaps import WARNING, Overlap
from flowproxy.routing.table import Conflict, Request, Route, RouteTable, covers_host
from flowproxy.services.model import Destination, Parameters, Service
from flowproxy.services.parse import DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.services.registry import Entry
from flowproxy.text.secrets import header_value, is_secret, shown, shown_value

_TOLD = 5  # remarks in a message
_LISTED = 100  # overlaps and conflicts of one service
_TEXTS = (
    "AclName BackendExtra CompressionAlgo CompressionType ConnectionMode DebugFormat DiscoveryType "
    "ProxyInstanceName ReqPathReplace ReqPathSearch ServiceCert ServiceDomainAlgo SessionType TemplateBePath "
    "TemplateFePath ServicePort AclCondition"
).split()
_FLAGS = (
    "CheckResolvers Debug Distribute IsDefaultBackend RedirectWhenHttpProto RedirectUnlessHttpsProto "
    "UseGlobalUsers IsGlobal"
).split()
_LISTS = "AddReqHeader AddResHeader DelReqHeader DelResHeader SetReqHeader SetResHeader Users Tasks".split()
_NUMBERS = "Replicas LookupRetry LookupRetryInterval".split()
_DESTINATION_TEXTS = (
    "BalanceGroup HttpsRedirectCode OutboundHostname ServiceGroup SrcPortAcl SrcPortAclName SrcHttpsPortAcl "
    "SrcHttpsPortAclName TimeoutServer TimeoutClient TimeoutTunnel UserDef ReqPathSearchReplace"
).split()
_DESTINATION_FLAGS = (
    "CheckTCP Clitcpka DenyHttp HttpsOnly IgnoreAuthorization SslVerifyNone VerifyClientSsl IncludeSrcPortACL "
    "IncludeSrcHttpsPortACL"
).split()
_DESTINATION_LISTS = "AllowedMethods DeniedMethods RedirectFromDomain ReqPathSearchReplaceFormatted".split()
_DESTINATION_NUMBERS = "HttpsPort SrcHttpsPort".split()


_ONLY_HAPROXY = "; but some patterns can be evaluated by HAProxy only (see unevaluated), and may lead elsewhere"


def answer(status: str, message: str, service: Service | None = None, name: str = "") -> dict[str, Any]:
    """What reconfigure, remove, reload and ping answer."""
    described = described_service(service) if service else _empty()
    return {
        "Status": status,
        "Message": message,
        **described,
        "ServiceName": service.service_name if service else name,
        "Conflicts": [],
        "Overlaps": [],
    }


def described_service(service: Service) -> dict[str, Any]:
    """A service as `config?type=json` shows it; nobody's password and no key."""
    return {
        **_empty(),
        **_named(service, SERVICE_PARAMETERS),
        "Replicas": service.replicas or 0,
        "IsGlobal": service.replicas is None,
        "ServiceDest": [_destination(destination) for destination in service.destinations],
    }


def reports(name: str, table: RouteTable, overlaps: Sequence[Overlap]) -> dict[str, Any]:
    """What the caller should know of a service that was accepted: which of its routes others serve, and with whom it
    shares requests."""
    conflicts = _conflicts(name, table)
    lost = [_lost(conflict, table) for conflict in conflicts if conflict.loser == name]
    warned = [str(overlap) for overlap in overlaps if overlap.level == WARNING]
    texts = [*lost, *table.warnings_of(name), *warned]
    more = [f"and {len(texts) - _TOLD} more"] if len(texts) > _TOLD else []
    return {
        "Message": "; ".join([*texts[:_TOLD], *more]),
        "Conflicts": [conflict._asdict() for conflict in conflicts[:_LISTED]],
        "Overlaps": [overlap._asdict() for overlap in overlaps[:_LISTED]],
    }


def _conflicts(name: str, table: RouteTable) -> list[Conflict]:
    return [conflict for conflict in table.conflicts if name in (conflict.winner, conflict.loser)]


def _lost(conflict: Conflict, table: RouteTable) -> str:
    winner = table.parts.get(conflict.winner)
    if winner is None or conflict.route.startswith(("port ", "the certificate ")):
        holder = f"service {conflict.winner}" if winner else conflict.winner
        return f"{conflict.route}; {holder} has it"
    why = "whose aclName comes first" if winner.candidate.service.acl_name else "which is older"
    return f"the route {conflict.route} is served by service {conflict.winner}, {why}"


def described_entry(
    name: str, entry: Entry | None, outcome: Outcome, remark: str | None, overlaps: Sequence[Overlap]
) -> dict[str, Any]:
    """What `/v1/services` says of one service: where it came from, what it asked for, what became of it."""
    servers = outcome.configuration.servers if outcome.configuration else {}
    part = outcome.table.parts.get(name)
    backends = [backend.name for backend in part.backends] if part else []
    routes = sorted((route for _, route in part.routes), key=lambda route: route.rank) if part else []
    return {
        "name": name,
        "origin": entry.origin if entry else None,
        "created": entry.created if entry else None,
        "stack": entry.stack or None if entry else None,
        "parameters": shown(entry.parameters) if entry else {},
        "ignored": list(entry.service.ignored) if entry else [],
        "warnings": [
            *filter(None, [remark]),
            *(entry.service.warnings if entry else ()),
            *outcome.table.warnings_of(name),
        ],
        "error": outcome.quarantined.get(name),
        "routes": [described_route(route) for route in routes],
        "servers": {
            backend: [f"{s.name} {s.socket_address}" for s in servers.get(backend, ())] for backend in backends
        },
        "conflicts": [conflict._asdict() for conflict in _conflicts(name, outcome.table)],
        "overlaps": [overlap._asdict() for overlap in overlaps[:_LISTED]],
    }


def described_route(route: Route) -> dict[str, Any]:
    return {
        "host": route.host or "*",
        "path": route.path,
        "conditions": [str(condition) for condition in route.conditions],
        "default": route.is_default,
        "service": route.service,
        "backend": route.backend,
    }


def described_answer(
    asked: Request, chosen: Route | None, servers: list[ServerHealth] | None, outcome: Outcome, remark: str | None
) -> dict[str, Any]:
    """What `/v1/explain` says of a request: its route, and what HAProxy thinks of its servers, if it answers."""
    unevaluated = _unevaluated(asked, chosen, outcome)
    others = [
        route
        for route in outcome.table.routes
        if route is not chosen
        and (route.covers(asked) or (chosen is None and route.host and covers_host(route.host, asked.host)))
    ]
    return {
        "route": described_route(chosen) if chosen else None,
        "reason": _reason(chosen, servers, remark) + (_ONLY_HAPROXY if unevaluated else ""),
        "servers": [server._asdict() for server in servers or ()],
        "others": [described_route(route) for route in others],
        "refused": {} if chosen else dict(outcome.quarantined),
        "unevaluated": unevaluated,
    }


def _unevaluated(asked: Request, chosen: Route | None, outcome: Outcome) -> list[str]:
    """The patterns that HAProxy may have found another route by: RE2 knows less than PCRE, but never takes long."""
    found = []
    for route in outcome.table.routes:
        if route.has_patterns and route.covers(asked):
            patterns = [pattern for condition in route.conditions for pattern in condition.unevaluated()]
            found += [f"route {route}: pattern {pattern} could not be evaluated here" for pattern in patterns]
        if route is chosen:
            break
    return found


def _reason(chosen: Route | None, servers: list[ServerHealth] | None, remark: str | None) -> str:
    if chosen is None:
        return "no route matches; the answer is 503"
    found = f"the most specific route that matches is {chosen}"
    if servers is None:
        return f"{found}, but HAProxy does not answer"
    if not servers:
        return f"{found}, but service {chosen.service} has no server: {remark or 'no task of it is known to run'}"
    return found if any(server.is_up for server in servers) else f"{found}, but none of its servers is up"


def _empty() -> dict[str, Any]:
    return {
        "ServiceName": "",
        **dict.fromkeys(_TEXTS, ""),
        **dict.fromkeys(_FLAGS, False),
        **{name: [] for name in _LISTS},
        **dict.fromkeys(_NUMBERS, 0),
        "ServiceDest": [],
    }


def _destination(destination: Destination) -> dict[str, Any]:
    rewrites = [f"{rewrite.search},{rewrite.replace}" for rewrite in destination.req_path_search_replace]
    return {
        **dict.fromkeys(_DESTINATION_TEXTS, ""),
        **dict.fromkeys(_DESTINATION_FLAGS, False),
        **{name: [] for name in _DESTINATION_LISTS},
        **dict.fromkeys(_DESTINATION_NUMBERS, 0),
        **_named(destination, DESTINATION_PARAMETERS),
        "Index": destination.index,
        "Port": str(destination.port or ""),
        "HttpsPort": destination.https_port or 0,
        "HttpsRedirectCode": str(destination.https_redirect_code or ""),
        "ReqModeFormatted": destination.req_mode,
        "ReqPathSearchReplace": ":".join(rewrites),
        "ReqPathSearchReplaceFormatted": rewrites,
        "ServiceHeader": {h.name: header_value(h.name, h.value) for h in destination.service_header},
        "SrcPort": destination.src_port or 0,
        "SrcHttpsPort": destination.src_https_port or 0,
        "UserAgent": {"Value": list(destination.user_agent) or None, "AclName": ""},
    }


def _named(model: Parameters, names: Mapping[str, str]) -> dict[str, Any]:
    """The values under the names that start with a capital, which are known to clients."""
    named = {}
    for public, field in names.items():
        if not is_secret(public):
            name = "CheckTCP" if public == "checkTcp" else public[0].upper() + public[1:]
            named[name] = _readable(public, getattr(model, field))
    return {name: value for name, value in named.items() if name in _KNOWN}


def _readable(parameter: str, value: object) -> object:
    if isinstance(value, tuple):
        return [_readable(parameter, item) for item in value]
    return "" if value is None else shown_value(parameter, value) if isinstance(value, str) else value


_KNOWN = {
    *(*_TEXTS, *_FLAGS, *_LISTS, *_NUMBERS, "ServiceName"),
    *(*_DESTINATION_TEXTS, *_DESTINATION_FLAGS, *_DESTINATION_LISTS, *_DESTINATION_NUMBERS),
    *("PathType", "ReqMode", "ServiceDomain", "ServicePath", "ServicePathExclude"),
}
