"""The settings, read once from the environment and from /run/secrets.

The names are Docker Flow Proxy's, in capitals; our own begin with FLOWPROXY_. A secret `dfp_<name>` wins over
the variable.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, AliasGenerator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from flowproxy.errors import InvalidSettings, Problem
from flowproxy.services.model import Defaults, Flag, Lines, Port, Service, Words
from flowproxy.services.users import complete
from flowproxy.text.lines import Level
from flowproxy.text.quoting import word

Seconds = Annotated[int, Field(ge=1, le=30 * 86400)]


def _items(value: object) -> object:
    return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value


# `trusted` is what it was called not to choose.
RawConfig = Annotated[
    Literal["none", "safe", "all"] | None, BeforeValidator(lambda value: None if value == "trusted" else value)
]
Items = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)]


def _host_names(value: object) -> object:
    items = _items(value)
    for item in items if isinstance(items, tuple) else ():
        if not _HOST_NAME.fullmatch(item):
            raise ValueError(
                f"{item!r} is no host name: write names such as proxy.example.org, without scheme and port"
            )
    return items


_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_host_names)]


def _networks(value: object) -> object:
    """IP networks, or `none` for an empty list."""
    if not isinstance(value, str):
        return value
    items = [item.strip() for item in value.split(",") if item.strip()]
    return () if [item.lower() for item in items] == ["none"] else tuple(map(_network, items))


def _network(item: str) -> str:
    try:
        return str(ipaddress.ip_network(item))
    except ValueError:
        raise ValueError(f"{item!r} is no network: write networks such as 10.0.0.0/8, or `none`") from None


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]


def _own(name: str) -> AliasChoices:
    return AliasChoices(f"FLOWPROXY_{name}", f"flowproxy_{name.lower()}")


class Settings(BaseSettings):
    """What the operator chose. Each description is the documentation of its variable."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        alias_generator=AliasGenerator(validation_alias=lambda n: AliasChoices(n.upper(), f"dfp_{n}")),
    )

    # The API and the traffic
    ip: str = Field("0.0.0.0", description="Address that the API listens on.")  # noqa: S104
    port: Port = Field(8080, description="Port of the API.")
    default_ports: Items = Field(
        ("80", "443:ssl"),
        description="Ports for traffic, separated by commas, each with HAProxy's bind options behind it.",
    )
    default_req_mode: Literal["http", "tcp", "sni"] = Field(
        "http", description="What `reqMode` is where a service does not say."
    )
    default_protocol: Literal["http", "tcp", "sni"] | None = Field(
        None, description="The same for services of the environment (`DFP_SERVICE_*`)."
    )
    service_name: str = Field("proxy", description="Name of the proxy's own Swarm service.")
    separator: str = Field(",", description="What separates the items of a list in a parameter.")

    bind_ports: Items = Field((), description="More ports for traffic, written like DEFAULT_PORTS.")
    service_domain_algo: str | None = Field(
        None, description="How domains are compared where a service does not say; whole, without it."
    )
    https_only: Flag = Field(False, description="Whether plain HTTP is redirected to HTTPS for every service.")
    filter_proxy_instance_name: Flag = Field(
        False, description="Whether only services with our PROXY_INSTANCE_NAME are taken."
    )
    proxy_instance_name: str = Field("docker-flow", description="The name of this proxy among several.")
    users: Lines = Field(
        "", description="`name:password` items, separated by commas, who may use services without users."
    )
    users_pass_encrypted: Flag = Field(False, description="Whether the passwords of USERS are crypt hashes.")

    # TLS
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

    # How HAProxy treats requests
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
    stats_user: str | None = Field(None, description="User of HAProxy's statistics page; `none` for no authentication.")
    stats_pass: SecretStr | None = Field(None, description="Password of the statistics page; `none` for none.")
    stats_uri: str = Field("/admin?stats", description="Address of the statistics page.")
    stats_port: Port | None = Field(None, description="Port of the statistics page; that of the traffic without it.")
    stats_user_env: str = Field("STATS_USER", description="The variable that holds the user of the statistics page.")
    stats_pass_env: str = Field("STATS_PASS", description="The variable that holds its password.")
    stats_uri_env: str = Field("STATS_URI", description="The variable that holds its address.")
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
    check_resolvers: Flag = Field(False, description="Without effect: names are looked up by Flowproxy.")
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

    # Another listener
    listener_address: Items = Field(
        (), description="Addresses of Docker Flow Swarm Listeners whose services are fetched, separated by commas."
    )
    reload_interval: int = Field(5000, ge=1, description="Milliseconds between two fetches from a listener.")
    reload_attempts: int = Field(
        5, ge=1, description="How often a listener is asked that does not answer, where there are several."
    )
    repeat_reload: Flag = Field(
        False, description="Whether the only listener is asked again and again after it has answered."
    )
    dns_lookup_pause_ms: int = Field(
        0, ge=0, description="Milliseconds before other replicas are asked for their certificates at the start."
    )
    mode: str = Field("default", description="Without effect.")
    display_config_on_error: Flag = Field(False, description="Without effect: `/v1/config` shows the configuration.")
    healthcheck: Flag = Field(True, description="Whether the container's health check really checks.")

    # Ours
    state_dir: Path = Field(
        Path(".flowproxy"),
        validation_alias=_own("STATE_DIR"),
        description="Folder of everything that is written: the configuration, the sockets, the services put by API.",
    )
    haproxy: str = Field("haproxy", validation_alias=_own("HAPROXY"), description="The HAProxy program.")
    swarm: Literal["auto", "on", "off"] = Field(
        "auto",
        validation_alias=_own("SWARM"),
        description="Whether a Swarm is watched: auto does where a Docker socket exists or DOCKER_HOST is set.",
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
        description="What calls of the API must show as `Authorization: Bearer TOKEN`; all but those that only ask"
        " whether we live. Without it everybody who reaches the API may do everything.",
    )
    api_cert: Path | None = Field(
        None,
        validation_alias=_own("API_CERT"),
        description="A PEM file with a certificate and its key, which the API then speaks TLS with.",
    )
    api_hosts: HostNames = Field(
        (),
        validation_alias=_own("API_HOSTS"),
        description="Names by which browsers may reach the API, separated by commas, besides addresses, `localhost`,"
        " the name of the machine and SERVICE_NAME.",
    )
    api_connections: int = Field(
        512,
        ge=16,
        validation_alias=_own("API_CONNECTIONS"),
        description="Connections to the API at most, and no more than half of the file limit. One too many ends"
        " the one that has been idle longest.",
    )
    key: SecretStr | None = Field(
        None,
        min_length=16,
        validation_alias=_own("KEY"),
        description="What replicas of the proxy sign their calls to each other with; FLOWPROXY_API_TOKEN without it."
        " The same for all of them.",
    )
    metrics_open: Flag = Field(
        True, validation_alias=_own("METRICS_OPEN"), description="Whether `/metrics` is open without the token."
    )
    raw_config: RawConfig = Field(
        None,
        validation_alias=_own("RAW_CONFIG"),
        description="What HAProxy configuration services may write (`backendExtra`, templates, conditions): `none`,"
        " `safe` (directives of an allowlist), or `all`. Unset, or `trusted`: `safe` for labels and API calls with the"
        " token, `none` for API calls without one, `all` for `DFP_SERVICE_*`.",
    )
    trusted_proxies: Networks | None = Field(
        None,
        validation_alias=_own("TRUSTED_PROXIES"),
        description="Networks of the proxies in front that may say where a request comes from (`X-Forwarded-*`),"
        " separated by commas, or `none`. While it is not set, X-Forwarded-For of any client is appended to.",
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
        description="Requests that one service may have under way or waiting; more are answered with 503; each of its"
        " destinations has an equal part, at least 10. Without it, a quarter of the connections that HAProxy may have.",
    )
    hosts: Literal["shared", "stack"] = Field(
        "shared",
        validation_alias=_own("HOSTS"),
        description="`stack`: a host belongs to the stack of the oldest service that asks for it, and services of other"
        " stacks are refused it, unless that service sets `shareHost`. `shared`: everybody may ask for every host.",
    )
    hard_stop_after: Seconds = Field(
        300,
        validation_alias=_own("HARD_STOP_AFTER"),
        description="Seconds that connections live on in an old HAProxy worker after a reload.",
    )
    tidy_after: Seconds = Field(
        60,
        validation_alias=_own("TIDY_AFTER"),
        description="Seconds of quiet after which HAProxy is reloaded once, so that services which came without"
        " a reload have backends of their own names.",
    )
    drain_timeout: Seconds = Field(
        30,
        validation_alias=_own("DRAIN_TIMEOUT"),
        description="Seconds that running requests get to finish when the controller is told to stop.",
    )
    shutdown_delay: int = Field(
        0,
        ge=0,
        le=3600,
        validation_alias=_own("SHUTDOWN_DELAY"),
        description="Seconds that HAProxy goes on accepting after SIGTERM, while `/v1/ready` and"
        " FLOWPROXY_READY_PATH answer 503 already, so that a load balancer in front can take the node out.",
    )
    ready_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]{1,200}$")] | None = Field(
        None,
        validation_alias=_own("READY_PATH"),
        description="A path, such as `/.flowproxy/ready`, that HAProxy itself answers on the ports for traffic: 200,"
        " and 503 when it is about to stop. No service can have it. None without it.",
    )
    stale_after: Seconds = Field(
        600,
        validation_alias=_own("STALE_AFTER"),
        description="Seconds after which saved addresses of tasks are not used at a start without Docker, because they"
        " may be those of other containers by then.",
    )
    label_prefix: str = Field(
        "com.df.", validation_alias=_own("LABEL_PREFIX"), description="What the names of labels begin with."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, file_secret_settings, env_settings

    @property
    def advice(self) -> str | None:
        """What the operator should say about proxies in front."""
        if self.trusted_proxies is not None:
            return None
        return (
            "FLOWPROXY_TRUSTED_PROXIES is not set, so that anybody may begin X-Forwarded-For: name the networks of the"
            " load balancers in front, or `none`"
        )

    def takes(self, service: Service) -> bool:
        """Whether the service is for this proxy, among several that share a Swarm."""
        ours = (service.proxy_instance_name or "").lower() == self.proxy_instance_name.lower()
        return ours or not self.filter_proxy_instance_name

    @property
    def defaults(self) -> Defaults:
        """What they say for every service of labels, and for one that was taken from a call before a restart."""
        return self._defaults(self.raw_config or "safe")

    @property
    def defaults_for_calls(self) -> Defaults:
        """The same for services that come by API."""
        return self._defaults(self.raw_config or ("safe" if self.api_token else "none"))

    @property
    def defaults_for_environment(self) -> Defaults:
        """The same for services of the environment, which are the operator's own."""
        return self._defaults("none" if self.raw_config == "none" else "all")

    def _defaults(self, raw: Level) -> Defaults:
        return Defaults(
            separator=self.separator,
            https_only=self.https_only,
            service_domain_algo=self.service_domain_algo,
            req_mode=self.default_req_mode,
            raw=raw,
            users=self._users_with_password,
            secret_users=self._users_of_secrets,
            client_certificates=self.asks_for_client_certificates,
            proxies_known=self.trusted_proxies is not None,
        )

    @cached_property
    def _users_with_password(self) -> frozenset[str]:
        return _names(self.users)

    @cached_property
    def _users_of_secrets(self) -> dict[str, frozenset[str]]:
        """Secrets do not change while a container runs."""
        return {name: _names(content) for name, content in read_user_secrets().items()}

    @property
    def asks_for_client_certificates(self) -> bool:
        """Whether clients are asked for one. Lists of certificates and bind options of the operator may do it too."""
        own = self.crt_list_path or self.cfg_template_path or self.templates
        options = (*self.default_ports, *self.bind_ports)
        return bool(self.ca_file or own) or any("ca-file" in item for item in options)

    def binds(self, *, certified: bool) -> tuple[tuple[int, str], ...]:
        """Port and further arguments of each bind line. Without a certificate `:ssl` is a plain port."""
        tls = ""
        if certified:
            tls = f" ssl crt-list {word(self.crt_list)} alpn {'h2,' if self.enable_h2 else ''}http/1.1"
            tls += f" ca-file {word(self.ca_file)} verify optional" if self.ca_file else ""
        binds = []
        for item in (*self.default_ports, *self.bind_ports):
            port, *options = item.replace(":ssl", " :ssl").split()
            binds.append((int(port), "".join(tls if option == ":ssl" else f" {word(option)}" for option in options)))
        return tuple(binds)

    def http_ports(self, *, certified: bool) -> dict[int, bool]:
        """The ports of http routes, each with whether it speaks TLS; and that of the statistics."""
        own = {} if self.stats_port is None else {self.stats_port: False}
        return own | {port: " ssl " in options for port, options in self.binds(certified=certified)}

    @property
    def signing_key(self) -> bytes | None:
        """What replicas sign with."""
        key = self.key or self.api_token
        return key.get_secret_value().encode() if key else None

    @property
    def uses_certificates(self) -> bool:
        """Whether any port wants our list of certificates."""
        return self.crt_list_path is None and any(":ssl" in item for item in (*self.default_ports, *self.bind_ports))

    @property
    def with_certificates(self) -> Settings:
        """The same with a port that wants certificates, so that they can be judged before there is one."""
        return self.model_copy(update={"default_ports": ("443:ssl",), "bind_ports": (), "crt_list_path": None})

    @property
    def crt_list(self) -> Path:
        """The list of certificates, by the path that HAProxy knows it under."""
        return self.crt_list_path or self.state_dir.resolve() / "crt-list.txt"

    @property
    def stats_on_traffic(self) -> bool:
        """Whether the statistics page is on the ports of the traffic."""
        shown = self.stats_user and self.stats_pass
        return bool(shown) and (self.stats_port is None or self.stats_port in self.traffic_ports)

    @property
    def traffic_ports(self) -> tuple[int, ...]:
        return tuple(port for port, _ in self.binds(certified=False))


def _names(users: str) -> frozenset[str]:
    return frozenset(user.name.lower() for user in complete(users, encrypted=False))


_SECRET = {"STATS_PASS", "USERS", "FLOWPROXY_API_TOKEN", "FLOWPROXY_KEY"}


def secrets_folder() -> Path:
    return Path(environment().get("FLOWPROXY_SECRETS") or "/run/secrets")


def read_settings(secrets: Path | None = None, **given: Any) -> Settings:
    """The settings of this process. Raises InvalidSettings with a line for each mistake."""
    folder = secrets or secrets_folder()
    try:
        settings = Settings(_secrets_dir=folder if folder.is_dir() else None, **given)
        settings = settings.model_copy(update=_renamed(settings))
    except ValidationError as error:
        lines = []
        for wrong in error.errors():
            name = _public_name(str(wrong["loc"][0]))
            rule = wrong["msg"].removeprefix("Value error, ").removeprefix("Input ")
            problem = Problem(name, str(wrong["input"]), rule)
            lines.append(f"{name}: (hidden): {rule}" if name in _SECRET else str(problem))
        raise InvalidSettings("\n".join(lines)) from None
    for item in (*settings.default_ports, *settings.bind_ports):
        port = item.replace(":ssl", "").split()[0]
        if not (port.isdigit() and 0 < int(port) < 65536):
            raise InvalidSettings(f"DEFAULT_PORTS: {item!r}: must begin with a port from 1 to 65535")
    for item in settings.capture_request_header:
        name, _, length = item.partition(":")
        if not name or not length.isdigit():
            raise InvalidSettings(f"CAPTURE_REQUEST_HEADER: {item!r}: must be of the form Name:length")
    return settings


def _renamed(settings: Settings) -> dict[str, Any]:
    """What stands under names that the operator chose: STATS_USER_ENV and its like."""
    folder, given = secrets_folder(), environment()
    found: dict[str, Any] = {}
    for field in ("stats_user", "stats_pass", "stats_uri"):
        name = getattr(settings, f"{field}_env")
        if name == field.upper():
            continue
        secret = folder / f"dfp_{name.lower()}"
        value = secret.read_text().strip() if secret.is_file() else given.get(name)
        if value:
            found[field] = SecretStr(value) if field == "stats_pass" else value
    return found


def read_user_secrets() -> dict[str, str]:
    """The contents of the secrets `dfp_users_<name>`, by that name."""
    secrets, prefix = secrets_folder(), "dfp_users_"
    return {path.name.removeprefix(prefix): path.read_text() for path in secrets.glob(f"{prefix}*") if path.is_file()}


def environment() -> dict[str, str]:
    """The variables of this process, for what is not one fixed name: DFP_SERVICE_* and those of the docker SDK."""
    return dict(os.environ)  # noqa: TID251 - the one place that reads it


# Read elsewhere: by HAProxy's users of old, by the image, by the docker SDK.
_ELSEWHERE = {"FLOWPROXY_SECRETS", "FLOWPROXY_IMAGE", "DFP_SERVICE", "CERTS"}


def misspelt(given: Iterable[str]) -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the one that was probably meant."""
    known = {name for field in Settings.model_fields for name in _variables(field)} | _ELSEWHERE
    found: dict[str, str | None] = {}
    for name in given:
        if name.upper() in known or name.startswith("DFP_SERVICE_"):
            continue
        ours = name.startswith(("FLOWPROXY_", "DFP_"))
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6 if ours else 0.88)
        if ours or (close and len(name) > 7):  # a short name is soon like another
            found[name] = close[0] if close else None
    return found


def _variables(field: str) -> list[str]:
    alias = Settings.model_fields[field].validation_alias
    return [str(choice).upper() for choice in alias.choices] if isinstance(alias, AliasChoices) else [field.upper()]


def _public_name(name: str) -> str:
    return name if name.isupper() else name.upper()
