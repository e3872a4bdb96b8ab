"""The JSON of the API, in the names of the system we replace: every key, always there (docs/reference/api.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowproxy.commands import ServerHealth
from flowproxy.model import Destination, Parameters, Service
from flowproxy.parameters import DESTINATION_PARAMETERS, SERVICE_PARAMETERS
from flowproxy.reconciler import Outcome
from flowproxy.registry import Entry
from flowproxy.routing import Request, Route, covers_host
from flowproxy.secrecy import header_value, is_secret, shown, shown_value

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


def answer(status: str, message: str, service: Service | None = None, name: str = "") -> dict[str, Any]:
    """What reconfigure, remove, reload and ping answer."""
    described = described_service(service) if service else _empty()
    return {
        "Status": status,
        "Message": message,
        **described,
        "ServiceName": service.service_name if service else name,
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


def described_entry(name: str, entry: Entry | None, outcome: Outcome, remark: str | None) -> dict[str, Any]:
    """What `/v1/services` says of one service: where it came from, what it asked for, what became of it."""
    servers = outcome.configuration.servers if outcome.configuration else {}
    part = outcome.table.parts.get(name)
    backends = [backend.name for backend in part.backends] if part else []
    routes = sorted((route for _, route in part.routes), key=lambda route: route.rank) if part else []
    return {
        "name": name,
        "origin": entry.origin if entry else None,
        "created": entry.created if entry else None,
        "parameters": shown(entry.parameters) if entry else {},
        "ignored": list(entry.service.ignored) if entry else [],
        "warnings": [*filter(None, [remark]), *(entry.service.warnings if entry else ())],
        "error": outcome.quarantined.get(name),
        "routes": [described_route(route) for route in routes],
        "servers": {
            backend: [f"{s.name} {s.socket_address}" for s in servers.get(backend, ())] for backend in backends
        },
        "conflicts": [
            {"route": conflict.route, "winner": conflict.winner, "loser": conflict.loser}
            for conflict in outcome.table.conflicts
            if name in (conflict.winner, conflict.loser)
        ],
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
    others = [
        route
        for route in outcome.table.routes
        if route is not chosen
        and (route.covers(asked) or (chosen is None and route.host and covers_host(route.host, asked.host)))
    ]
    return {
        "route": described_route(chosen) if chosen else None,
        "reason": _reason(chosen, servers, remark),
        "servers": [server._asdict() for server in servers or ()],
        "others": [described_route(route) for route in others],
        "refused": {} if chosen else dict(outcome.quarantined),
    }


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
