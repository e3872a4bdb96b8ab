"""The JSON of every answer of the API, as models: every key is always there.

What Docker Flow Proxy answers too has its names, in its spelling. Fields named after a parameter hold what a call gave
under that name, secrets left out; docs/reference/parameters.md says what each parameter means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_pascal

from flowproxy.api.parameter_fields import with_parameters
from flowproxy.features import FEATURES


class Schema(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Compatible(Schema):
    """Has the names of Docker Flow Proxy, in which every word begins with a capital."""

    model_config = ConfigDict(alias_generator=to_pascal)


def _parameter(name: str, default: Any = "") -> Any:
    """A field that holds a parameter of the call."""
    return Field(default, description=f"The parameter `{name}`.")


def _unused(default: Any = "", alias: str | None = None) -> Any:
    """A field of Docker Flow Proxy that says nothing here, and is there for clients that read it."""
    return Field(default, alias=alias, description="Always the same; clients of Docker Flow Proxy may read it.")


# Docker Flow Proxy's


class CallResult(Compatible):
    """The result of a call."""

    status: str = Field(description="`OK`, or `NOK` if nothing was changed.", examples=["OK"])
    message: str = Field(
        "", description="What is wrong with the call, or what the caller should know of one that worked."
    )


class UserAgents(Compatible):
    """The parameter `userAgent`."""

    value: list[str] | None = Field(None, description="What the header may hold; null where it was not given.")
    acl_name: str = _unused()


class _KnownOfDestination(Compatible):
    """The fields of a destination that Docker Flow Proxy has."""

    balance_group: str = _parameter("balanceGroup")
    https_redirect_code: str = _parameter("httpsRedirectCode")
    outbound_hostname: str = _parameter("outboundHostname")
    service_group: str = _parameter("serviceGroup")
    src_port_acl: str = _unused()
    src_port_acl_name: str = _unused()
    src_https_port_acl: str = _unused()
    src_https_port_acl_name: str = _unused()
    timeout_server: str = _parameter("timeoutServer")
    timeout_client: str = _parameter("timeoutClient")
    timeout_tunnel: str = _parameter("timeoutTunnel")
    user_def: str = _parameter("userDef")
    req_path_search_replace: str = _parameter("reqPathSearchReplace")
    check_tcp: bool = Field(False, alias="CheckTCP", description="The parameter `checkTcp`.")
    clitcpka: bool = _parameter("clitcpka", default=False)
    deny_http: bool = _parameter("denyHttp", default=False)
    https_only: bool = _parameter("httpsOnly", default=False)
    ignore_authorization: bool = _parameter("ignoreAuthorization", default=False)
    ssl_verify_none: bool = _parameter("sslVerifyNone", default=False)
    verify_client_ssl: bool = _parameter("verifyClientSsl", default=False)
    include_src_port_acl: bool = _unused(default=False, alias="IncludeSrcPortACL")
    include_src_https_port_acl: bool = _unused(default=False, alias="IncludeSrcHttpsPortACL")
    allowed_methods: list[str] = _parameter("allowedMethods", default=[])
    denied_methods: list[str] = _parameter("deniedMethods", default=[])
    redirect_from_domain: list[str] = _parameter("redirectFromDomain", default=[])
    req_path_search_replace_formatted: list[str] = Field([], description="`ReqPathSearchReplace`, one pair each.")
    https_port: int = _parameter("httpsPort", default=0)
    src_https_port: int = _parameter("srcHttpsPort", default=0)
    req_mode: str = _parameter("reqMode")
    service_path: list[str] = _parameter("servicePath", default=[])
    service_path_exclude: list[str] = _parameter("servicePathExclude", default=[])
    path_type: str = _parameter("pathType")
    service_domain: list[str] = _parameter("serviceDomain", default=[])
    index: int = Field(0, description="The number behind the dot of its parameters; 0 where there is none.")
    port: str = _parameter("port")
    req_mode_formatted: str = Field("", description="`ReqMode` again.")
    service_header: dict[str, str] = _parameter("serviceHeader", default={})
    src_port: int = _parameter("srcPort", default=0)
    user_agent: UserAgents = Field(default_factory=UserAgents, description="The parameter `userAgent`.")


class _KnownOfService(Compatible):
    """The fields of a service that Docker Flow Proxy has, without its destinations."""

    service_name: str = _parameter("serviceName")
    acl_name: str = _parameter("aclName")
    backend_extra: str = _parameter("backendExtra")
    compression_algo: str = _parameter("compressionAlgo")
    compression_type: str = _parameter("compressionType")
    connection_mode: str = _parameter("connectionMode")
    debug_format: str = _parameter("debugFormat")
    discovery_type: str = _parameter("discoveryType")
    proxy_instance_name: str = _parameter("proxyInstanceName")
    req_path_replace: str = _unused()
    req_path_search: str = _unused()
    service_cert: str = Field("", description="Always empty: it holds a key.")
    service_domain_algo: str = _parameter("serviceDomainAlgo")
    session_type: str = _parameter("sessionType")
    template_be_path: str = _parameter("templateBePath")
    template_fe_path: str = _parameter("templateFePath")
    service_port: str = _unused()
    acl_condition: str = _unused()
    check_resolvers: bool = _parameter("checkResolvers", default=False)
    debug: bool = _parameter("debug", default=False)
    distribute: bool = _parameter("distribute", default=False)
    is_default_backend: bool = _parameter("isDefaultBackend", default=False)
    redirect_when_http_proto: bool = _parameter("redirectWhenHttpProto", default=False)
    redirect_unless_https_proto: bool = _parameter("redirectUnlessHttpsProto", default=False)
    use_global_users: bool = _unused(default=False)
    is_global: bool = Field(False, description="Whether the number of replicas is not known.")
    add_req_header: list[str] = _parameter("addReqHeader", default=[])
    add_res_header: list[str] = _parameter("addResHeader", default=[])
    del_req_header: list[str] = _parameter("delReqHeader", default=[])
    del_res_header: list[str] = _parameter("delResHeader", default=[])
    set_req_header: list[str] = _parameter("setReqHeader", default=[])
    set_res_header: list[str] = _parameter("setResHeader", default=[])
    users: list[str] = Field([], description="Always empty: it holds passwords.")
    tasks: list[str] = _unused(default=[])
    replicas: int = Field(0, description="The parameter `replicas`; 0 where it was not given.")
    lookup_retry: int = _unused(default=0)
    lookup_retry_interval: int = _unused(default=0)


# The fields of other parameters follow from the features, so that the type checker sees only those above.
if TYPE_CHECKING:

    class _OfDestination(_KnownOfDestination): ...

    class _OfService(_KnownOfService): ...
else:
    _OfDestination = with_parameters(_KnownOfDestination, *(f.destination for f in FEATURES if f.destination))
    _OfService = with_parameters(_KnownOfService, *(f.service for f in FEATURES if f.service))


class DestinationFields(_OfDestination):
    """One destination of a service: the parameters with one index."""


class ServiceFields(_OfService):
    """A service as it was asked for."""

    service_dest: list[DestinationFields] = Field([], description="Its destinations.")


class ConflictFields(Schema):
    """Two services that ask for the same."""

    route: str = Field(description="The route, port or certificate, in words.", examples=["example.org/"])
    winner: str = Field(description="The service that has it.")
    loser: str = Field(description="The service that does not get it.")


class OverlapFields(Schema):
    """Requests that one service takes from another, because its route is more specific."""

    taker: str = Field(description="The service that gets the requests.")
    route: str = Field(description="Its route.")
    loser: str = Field(description="The service that would get them otherwise.")
    from_route: str = Field(description="The route of the other service.")
    level: str = Field(description="`warning` where it is probably a mistake, else `information`.")
    reason: str = Field(description="Why it gets them, in words.")


class CallAnswer(ServiceFields, CallResult):
    """The answer to `reconfigure`, `remove`, `reload` and `ping`, and to every call that is refused."""

    conflicts: list[ConflictFields] = Field([], description="What others ask for too; at most 100.")
    overlaps: list[OverlapFields] = Field([], description="Requests that it shares with others; at most 100.")


class ConfiguredServices(RootModel[dict[str, ServiceFields]]):
    """The answer to `config?type=json`: the services by name."""


class CertificateFields(Compatible):
    """A certificate that is kept, without its key."""

    service_port: str = _unused()
    proxy_service_name: str = Field(description="Its name, as given in `certName`.")
    certs_dir: str = Field(description="The folder that it is kept in.")
    cert_content: str = Field(description="The certificate and its chain, as PEM.")


class CertificatesAnswer(CallResult):
    """The answer to `cert` and `certs`."""

    certs: list[CertificateFields] | None = Field(None, description="The kept certificates; null after `cert`.")


class Acknowledgement(Compatible):
    """The answer of the paths of Docker Flow Swarm Listener that need not do anything."""

    status: str = Field("OK", description="Always `OK`.")


class ListedServices(RootModel[list[dict[str, str]]]):
    """The answer to `get-services`: the parameters of each service of the Swarm."""


# Between replicas


class ReplicaState(Schema):
    """The answer to `replica/state`."""

    digest: str = Field(description="The same on two replicas that hold the same.")
    refused: dict[str, str] = Field(description="What this replica does not take over, by name, with the reason.")


class RecordsTaken(Schema):
    """The answer to `replica/records`."""


# Ours


class Error(Schema):
    """The answer to a request that failed."""

    error: str = Field(description="The reason.")


class RouteFields(Schema):
    """One route."""

    host: str = Field(description="The host, or `*` for any.")
    path: str = Field(description="The path, or its beginning.")
    conditions: list[str] = Field(description="What else a request must meet, in words.")
    default: bool = Field(description="Whether it takes what matches no other route.")
    service: str = Field(description="The service that gets the requests.")
    backend: str = Field(description="The name of its backend in haproxy.cfg.")


class ServiceAnswer(Schema):
    """One service: its origin, its parameters and its state."""

    name: str = Field(description="Its name.")
    origin: str | None = Field(description="`swarm`, `environment` or `api`; null if its parameters were never valid.")
    created: float | None = Field(description="When it was first asked for, in seconds since 1970.")
    stack: str | None = Field(description="The stack that it belongs to.")
    parameters: dict[str, str] = Field(description="The parameters as given, without secrets.")
    ignored: list[str] = Field(description="Parameters that are unknown.")
    warnings: list[str] = Field(description="What its owner should know.")
    error: str | None = Field(description="Why it is not served as it asks.")
    routes: list[RouteFields] = Field(description="Its routes, the most specific first.")
    servers: dict[str, list[str]] = Field(description="The name and address of each server, by backend.")
    conflicts: list[ConflictFields] = Field(description="What others ask for too.")
    overlaps: list[OverlapFields] = Field(description="Requests that it shares with others; at most 100.")


class ServicesAnswer(RootModel[list[ServiceAnswer]]):
    """All services, by name."""


class RoutesAnswer(RootModel[list[RouteFields]]):
    """All routes, the most specific first."""


class ServerFields(Schema):
    """The state of a server in HAProxy."""

    name: str = Field(description="Its name in haproxy.cfg.")
    address: str = Field(description="Its address and port.")
    state: str = Field(description="HAProxy's state: `UP`, `DOWN`, `no check`, or `MAINT` when it leaves.")
    check: str = Field(description="What the last check said.")


class Explanation(Schema):
    """Which route answers a URL, and why."""

    url: str = Field(description="The URL that was asked about.")
    route: RouteFields | None = Field(description="The route that answers; null where none does.")
    reason: str = Field(description="Why, in words.")
    servers: list[ServerFields] = Field(description="Its servers; none when HAProxy does not answer.")
    others: list[RouteFields] = Field(description="Routes that cover the URL too, or other routes of its host.")
    refused: dict[str, str] = Field(description="Where nothing matches: services that are not served as they ask.")
    unevaluated: list[str] = Field(description="Regular expressions that only HAProxy can evaluate.")


class Ready(Schema):
    """Whether requests should be sent to this node."""

    ready: bool = Field(description="False before the first configuration is live, and once the node is to stop.")


class ShortStatus(Schema):
    """The status for a caller without the token."""

    version: str = Field(description="The version of Flowproxy.")
    ready: bool = Field(description="Whether requests should be sent to this node.")


class HaproxyStatus(Schema):
    """The HAProxy alongside."""

    version: str = Field(description="Its version.")
    pid: int = Field(description="The process id of its master.")
    worker: int = Field(description="The process id of its worker.")
    uptime: int = Field(description="How long its master has run, in seconds.")


class SwarmFields(Schema):
    """The Docker daemon; times are seconds since 1970, null for never."""

    connected: bool = Field(description="Whether it is reachable.")
    last_event: float | None = Field(description="When the last event came.")
    last_listing: float | None = Field(description="When everything was last listed.")
    error: str | None = Field(description="Why it is not reachable.")
    last_answer: float | None = Field(description="When tasks were last listed, perhaps of a few services only.")


class SourceFields(Schema):
    """Where services come from; times are seconds since 1970."""

    name: str = Field(description="What it is.", examples=["swarm"])
    state: str = Field(description="`waiting` until it has answered, `ok`, `failing`, or `off`.")
    since: float = Field(description="When it came into this state.")
    last_success: float | None = Field(description="When it last answered; null for never.")
    error: str | None = Field(description="What is wrong with it now.")


class ReplicasStatus(Schema):
    """The other replicas of the proxy."""

    others: int = Field(description="How many there are.")
    agree: bool = Field(description="Whether all have the same services and certificates of the API.")
    differing: dict[str, str] = Field(description="Each that is not the same, by address, with the reason.")
    last_compared: float | None = Field(description="When they were last compared, in seconds since 1970.")


class Status(ShortStatus):
    """The state of this replica."""

    warnings: list[str] = Field(description="Problems of its settings or its disk.")
    generation: int = Field(description="The generation of the services that HAProxy serves.")
    wanted_generation: int = Field(description="The generation of the services that are wanted.")
    failure: str | None = Field(description="Why the two differ.")
    reloads: int = Field(description="Reloads since the start.")
    reload_reasons: dict[str, int] = Field(description="Reloads by their reason.")
    runtime_updates: int = Field(description="Changes without a reload since the start.")
    drift: dict[str, int] = Field(description="How often a change from outside Flowproxy was reverted, by kind.")
    old_workers: int = Field(description="Workers that stay after a reload because of long connections.")
    services: int = Field(description="How many services are wanted.")
    quarantined: dict[str, str] = Field(description="Services that are not served as they ask, with the reason.")
    quarantined_certificates: dict[str, str] = Field(description="Files that are not used, with the reason.")
    conflicts: list[ConflictFields] = Field(description="All conflicts.")
    overlaps: list[OverlapFields] = Field(description="The first 1,000 overlaps, warnings first.")
    overlaps_total: int = Field(description="How many overlaps there are.")
    haproxy: HaproxyStatus | None = Field(description="The HAProxy alongside; null when it does not answer.")
    swarm: SwarmFields = Field(description="The Docker daemon.")
    sources: list[SourceFields] = Field(description="Everything that services come from.")
    replicas: ReplicasStatus = Field(description="The other replicas.")
