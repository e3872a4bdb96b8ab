"""The settings that are read from variables and secrets, in groups. Each description documents its variable.

The names are those of Docker Flow Proxy, in capitals; our own begin with FLOWPROXY_.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, AliasGenerator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowproxy.settings.values import HostNames, Items, Networks, RawConfig, Seconds
from flowproxy.text.values import Flag, Lines, Port, Words


def _own(name: str) -> AliasChoices:
    return AliasChoices(f"FLOWPROXY_{name}", f"flowproxy_{name.lower()}")


class _Group(BaseSettings):
    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        alias_generator=AliasGenerator(validation_alias=lambda n: AliasChoices(n.upper(), f"dfp_{n}")),
    )


class TrafficSettings(_Group):
    """Ports, and what services get when they do not say."""

    ip: str = Field("0.0.0.0", description="Address that the API listens on.")  # noqa: S104
    port: Port = Field(8080, description="Port of the API.")
    default_ports: Items = Field(
        ("80", "443:ssl"),
        description="Ports for traffic, separated by commas, each with HAProxy's bind options behind it.",
    )
    default_req_mode: Literal["http", "tcp", "sni"] = Field(
        "http", description="The `reqMode` of services that do not set it."
    )
    default_protocol: Literal["http", "tcp", "sni"] | None = Field(
        None, description="The `reqMode` of services from the environment (`DFP_SERVICE_*`) that do not set it."
    )
    service_name: str = Field("proxy", description="Name of the proxy's own Swarm service.")
    separator: str = Field(",", description="The separator of list items in parameters.")
    bind_ports: Items = Field((), description="More ports for traffic, written like DEFAULT_PORTS.")
    service_domain_algo: str | None = Field(
        None,
        description="How domains of services are compared that do not set `serviceDomainAlgo`; as a whole by default.",
    )
    https_only: Flag = Field(False, description="Whether plain HTTP is redirected to HTTPS for every service.")
    filter_proxy_instance_name: Flag = Field(
        False, description="Whether only services with our PROXY_INSTANCE_NAME are accepted."
    )
    proxy_instance_name: str = Field("docker-flow", description="The name of this proxy among several.")
    users: Lines = Field(
        "",
        description="`name:password` items, separated by commas: the users of services that set none.",
    )
    users_pass_encrypted: Flag = Field(False, description="Whether the passwords of USERS are crypt hashes.")


class TlsSettings(_Group):
    """TLS towards clients and services."""

    preferred_certificate: Items = Field(
        (), description="Names of certificates, with `*`; the first that matches is for clients without a server name."
    )
    crt_list_path: Path | None = Field(None, description="A list of certificates for HAProxy instead of our own.")
    ca_file: Path | None = Field(None, description="Authorities whose client certificates are accepted.")
    enable_h2: Flag = Field(True, description="Whether HTTP/2 is offered.")
    ssl_bind_options: str = Field("no-sslv3", description="HAProxy's TLS options, towards clients and services.")
    ssl_bind_ciphers: str = Field(
        "ECDH+AESGCM:ECDH+CHACHA20:DH+AESGCM:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:RSA+AESGCM:RSA+AES"
        ":!aNULL:!MD5:!DSS",
        description="Ciphers up to TLS 1.2, towards clients and services.",
    )


class RequestSettings(_Group):
    """How HAProxy treats requests."""

    connection_mode: Literal["http-keep-alive", "http-server-close", "httpclose", "http-pretend-keepalive"] = Field(
        "http-keep-alive",
        description="HAProxy's option for connections: http-keep-alive, http-server-close …",
    )
    timeout_connect: Seconds = Field(
        1, description="Seconds to wait for a connection to a task, and for its check; then another task is tried."
    )
    timeout_client: Seconds = Field(20, description="Seconds that a client may be silent.")
    timeout_server: Seconds = Field(20, description="Seconds that a task may be silent.")
    timeout_queue: Seconds = Field(30, description="Seconds that a request may wait for a free task.")
    timeout_tunnel: Seconds = Field(3600, description="Seconds that a WebSocket or other tunnel may be silent.")
    timeout_http_request: Seconds = Field(5, description="Seconds for a client to send its request's head.")
    timeout_http_keep_alive: Seconds = Field(15, description="Seconds to wait for a client's next request.")
    debug: Flag = Field(False, description="Whether every request is logged, not only those that failed.")
    debug_errors_only: Flag = Field(False, description="With DEBUG: whether only failed requests are logged after all.")
    debug_http_format: str | None = Field(None, description="With DEBUG: HAProxy's log-format of requests.")
    debug_tcp_format: str | None = Field(None, description="With DEBUG: HAProxy's log-format of tcp connections.")
    extra_global: Items = Field((), description="Lines for HAProxy's global section, separated by commas.")
    extra_frontend: Items = Field((), description="Lines for HAProxy's frontend of http, separated by commas.")
    capture_request_header: Items = Field(
        (), description="Request headers to log, as `Name:length`, separated by commas."
    )
    compression_algo: Words | None = Field(None, description="Compression of all responses, such as gzip.")
    compression_type: Words | None = Field(None, description="The media types that are compressed.")
    stats_user: str | None = Field(
        None, description="User of HAProxy's statistics page; `none` turns authentication off."
    )
    stats_pass: SecretStr | None = Field(
        None, description="Password of the statistics page; `none` turns authentication off."
    )
    stats_uri: str = Field("/admin?stats", description="Address of the statistics page.")
    stats_port: Port | None = Field(None, description="Port of the statistics page; the ports for traffic by default.")
    stats_user_env: str = Field("STATS_USER", description="The variable that holds the user of the statistics page.")
    stats_pass_env: str = Field(
        "STATS_PASS", description="The variable that holds the password of the statistics page."
    )
    stats_uri_env: str = Field("STATS_URI", description="The variable that holds the address of the statistics page.")
    reconfigure_attempts: int = Field(
        20, ge=1, description="Seconds that a reconfigure call waits for the service's name to resolve."
    )
    skip_address_validation: Flag = Field(
        True, description="When false, a reconfigure call whose service's name does not resolve fails at once."
    )
    do_not_resolve_addr: Flag = Field(
        False,
        description="Whether a reconfigure call is accepted although the service's name does not resolve yet.",
    )
    check_resolvers: Flag = Field(False, description="Without effect: Flowproxy resolves names itself.")
    resolvers: Items = Field(
        ("nameserver dns 127.0.0.11:53",),
        description="Lines of HAProxy's section `resolvers docker`, for templates and `backendExtra` that use it.",
    )
    terminate_on_reload: Flag = Field(
        False, description="Whether connections of an old HAProxy worker are cut at a reload instead of living on."
    )
    cfg_template_path: Path | None = Field(
        None,
        description="A Jinja2 template for all of the configuration but backends; in FLOWPROXY_TEMPLATES if relative.",
    )


class ListenerSettings(_Group):
    """Docker Flow Swarm Listeners, and what Docker Flow Proxy had for them."""

    listener_address: Items = Field(
        (), description="Addresses of Docker Flow Swarm Listeners whose services are fetched, separated by commas."
    )
    reload_interval: int = Field(5000, ge=1, description="Milliseconds between two fetches from a listener.")
    reload_attempts: int = Field(5, ge=1, description="Attempts to fetch from each listener, if there are several.")
    repeat_reload: Flag = Field(False, description="Whether a single listener is asked again after it has answered.")
    dns_lookup_pause_ms: int = Field(
        0, ge=0, description="Milliseconds at the start before other replicas are asked for their certificates."
    )
    mode: str = Field("default", description="Without effect.")
    display_config_on_error: Flag = Field(False, description="Without effect: `/v1/config` shows the configuration.")
    healthcheck: Flag = Field(True, description="Whether the health check of the container checks anything.")


class ControllerSettings(_Group):
    """The controller, its API and its folders."""

    state_dir: Annotated[Path, AfterValidator(Path.resolve)] = Field(
        Path(".flowproxy"),
        validate_default=True,
        validation_alias=_own("STATE_DIR"),
        description="Folder for everything that is written: the configuration, sockets, services from the API.",
    )
    haproxy: str = Field("haproxy", validation_alias=_own("HAPROXY"), description="The HAProxy program.")
    swarm: Literal["auto", "on", "off"] = Field(
        "auto",
        validation_alias=_own("SWARM"),
        description="Whether a Swarm is watched; with `auto`, if a Docker socket exists or DOCKER_HOST is set.",
    )
    log_format: Literal["json", "text"] = Field(
        "text", validation_alias=_own("LOG_FORMAT"), description="json or text."
    )
    templates: Path | None = Field(
        None,
        validation_alias=_own("TEMPLATES"),
        description="Folder with templates and error pages (errors/503.http) that replace ours by name.",
    )
    errorfiles: Path = Field(
        Path("/errorfiles"),
        validation_alias=_own("ERRORFILES"),
        description="Folder with error pages named <status>.http that replace ours.",
    )
    certs: Path = Field(
        Path("/certs"), validation_alias=_own("CERTS"), description="Folder of certificates; PUT cert writes there."
    )
    resync_interval: Seconds = Field(
        60,
        validation_alias=_own("RESYNC_INTERVAL"),
        description="Seconds between full listings of the Swarm.",
    )
    api_token: SecretStr | None = Field(
        None,
        min_length=8,
        validation_alias=_own("API_TOKEN"),
        description="The token that API calls must send as `Authorization: Bearer TOKEN`, except those that only ask"
        " whether the controller is alive. Without it, anybody who reaches the API may do everything.",
    )
    api_cert: Path | None = Field(
        None,
        validation_alias=_own("API_CERT"),
        description="A PEM file with a certificate and its key, with which the API uses TLS.",
    )
    api_hosts: HostNames = Field(
        (),
        validation_alias=_own("API_HOSTS"),
        description="Names under which browsers may reach the API, separated by commas, in addition to addresses,"
        " `localhost`, the name of the machine and SERVICE_NAME.",
    )
    api_connections: int = Field(
        512,
        ge=16,
        validation_alias=_own("API_CONNECTIONS"),
        description="The most connections to the API, at most half of the file limit. One more closes the connection"
        " that has been idle longest.",
    )
    key: SecretStr | None = Field(
        None,
        min_length=16,
        validation_alias=_own("KEY"),
        description="The key with which replicas of the proxy sign their calls to each other, the same for all of them;"
        " FLOWPROXY_API_TOKEN by default.",
    )
    metrics_open: Flag = Field(
        True, validation_alias=_own("METRICS_OPEN"), description="Whether `/metrics` is open without the token."
    )
    raw_config: RawConfig = Field(
        None,
        validation_alias=_own("RAW_CONFIG"),
        description="The HAProxy configuration that services may write (`backendExtra`, templates, conditions): `none`,"
        " `safe` (directives of an allowlist), or `all`. Unset, or `trusted`: `safe` for labels and API calls with the"
        " token, `none` for API calls without one, `all` for `DFP_SERVICE_*`.",
    )


class SafetySettings(_Group):
    """Whom to trust, and how much one service may take."""

    trusted_proxies: Networks | None = Field(
        None,
        validation_alias=_own("TRUSTED_PROXIES"),
        description="Networks of the proxies in front whose `X-Forwarded-*` headers are trusted, separated by commas,"
        " or `none`. If it is not set, the client's address is added to any X-Forwarded-For.",
    )
    proxy_protocol: Networks = Field(
        (),
        validation_alias=_own("PROXY_PROTOCOL"),
        description="Networks from which connections begin with a PROXY protocol header, separated by commas.",
    )
    service_connections: int | None = Field(
        None,
        ge=1,
        validation_alias=_own("SERVICE_CONNECTIONS"),
        description="The most requests of one service that are served or waiting; others are answered with 503. Each of"
        " its destinations has an equal part, at least 10. By default, a quarter of HAProxy's connections.",
    )
    hosts: Literal["shared", "stack"] = Field(
        "shared",
        validation_alias=_own("HOSTS"),
        description="`stack`: a host belongs to the stack of the oldest service that asks for it, and services of other"
        " stacks cannot use it unless that service sets `shareHost`. `shared`: every service may ask for every host.",
    )


class LifecycleSettings(_Group):
    """Starting, reloading and stopping."""

    hard_stop_after: Seconds = Field(
        300,
        validation_alias=_own("HARD_STOP_AFTER"),
        description="Seconds that connections may last in an old HAProxy worker after a reload.",
    )
    tidy_after: Seconds = Field(
        60,
        validation_alias=_own("TIDY_AFTER"),
        description="Seconds without changes after which HAProxy is reloaded once, so that services that were added"
        " without a reload get backends with their own names.",
    )
    drain_timeout: Seconds = Field(
        30,
        validation_alias=_own("DRAIN_TIMEOUT"),
        description="Seconds that running requests may take to finish when the controller stops.",
    )
    shutdown_delay: int = Field(
        0,
        ge=0,
        le=3600,
        validation_alias=_own("SHUTDOWN_DELAY"),
        description="Seconds that HAProxy still accepts connections after SIGTERM, while `/v1/ready` and"
        " FLOWPROXY_READY_PATH already answer 503, so that a load balancer in front can take the node out.",
    )
    ready_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]{1,200}$")] | None = Field(
        None,
        validation_alias=_own("READY_PATH"),
        description="A path, such as `/.flowproxy/ready`, that HAProxy itself answers on the ports for traffic: 200,"
        " and 503 when it is about to stop. No service can have this path. There is no such path by default.",
    )
    stale_after: Seconds = Field(
        600,
        validation_alias=_own("STALE_AFTER"),
        description="Seconds after which saved addresses of tasks are no longer used at a start without Docker, because"
        " they may belong to other containers by then.",
    )
    label_prefix: str = Field(
        "com.df.", validation_alias=_own("LABEL_PREFIX"), description="The beginning of the names of labels."
    )
