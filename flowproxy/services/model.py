"""What one service asks for. The field names are the snake_case of the public parameter names, which are the aliases.

Docker Flow Proxy's parameters keep their names and meaning. Every field's description is its documentation: the
reference in docs/reference/parameters.md is generated from it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from flowproxy.text.framing_headers import require_no_framing
from flowproxy.text.lines import Level, require_network_addresses
from flowproxy.text.quoting import SECTIONS, keyword

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?:\*\.?)?{_LABEL}(?:\.{_LABEL})*")
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:]{2,45}")
_PATH = re.compile(r"/[!-~]*")
_HEADER = re.compile(r"[0-9A-Za-z_.-]+")
_TEXT = re.compile(r"[ -~]*")
_METHOD = re.compile(r"[A-Z][A-Z-]{1,31}")
_PATH_TYPE = re.compile(r"(path(?:_(?:beg|end|reg|sub|dir|dom))?)(?: +(-i))?")
_SNI_TYPE = re.compile(r"req[._]ssl_sni(?: +-i)?(?: +-m +(str|beg|end|reg|sub|dom|dir))?(?: +-i)?")
_DOMAIN_ALGO = re.compile(r"(?:req\.)?hdr(?:_(beg|end|dom|sub|reg|dir))?\(host\)(?: +-i)?")
_SNI_ALGO = re.compile(r"req[._]ssl_sni(?: +-i)?(?: +-m +(?:str|beg|end|reg|sub|dom|dir))?")
_WORD = r"[A-Za-z0-9.+*/_-]+"
_WORDS = re.compile(rf"{_WORD}(?: +{_WORD})*")
_DURATION = re.compile(r"[0-9]{1,8}(?:us|ms|s|m|h|d)?")

_LONGEST_PATH = 4096  # HAProxy keeps a request's head in 16 KB

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True", "on"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", "off", ""})


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be letters, digits, '_', '.' or '-', begin with a letter or digit, and have at most 128")
    return value


def checked_domain(value: str) -> str:
    """A name, or one with a wildcard in front, in lower case. Raises ValueError."""
    domain = value.strip().lower().rstrip(".")
    if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
        raise ValueError(
            f"{value!r} is not a domain: write a name such as example.org, or *.example.org for all names below it"
            " (names with other letters in their xn-- form, no port)"
        )
    return domain


def _redirected(value: str) -> str:
    """A host that a map finds: a name, or all names below one. Raises ValueError."""
    domain = checked_domain(value)
    if domain.startswith("*") and not domain.startswith("*."):
        raise ValueError(f"{value!r} is neither a name nor *.name; write *.{domain[1:]} for all names below it")
    return domain


def checked_path(value: str) -> str:
    """A beginning of a path, or a whole one. What a regular expression or an ending may be is HAProxy's to check."""
    if not value.startswith("/"):
        raise ValueError(f'{value!r} does not start with "/"; write "/{repr(value)[1:-1]}"')
    if not _PATH.fullmatch(value) or "#" in value or "?" in value:
        raise ValueError(
            f"{value!r} holds a character that no request path has; write spaces and other letters percent-encoded,"
            " and no query string"
        )
    if len(value) > _LONGEST_PATH:
        raise ValueError(f"{value[:40]!r}… has {len(value)} characters; a path has at most {_LONGEST_PATH}")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is neither a host name nor an IP address")
    return value


def _flag(value: object) -> object:
    """Booleans as the system we replace reads them, but a word that is neither is an error, not silently false."""
    if isinstance(value, str):
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ValueError("must be true or false")
    return value


def _header(value: str) -> HeaderMatch:
    name, colon, content = value.partition(":")
    name, content = name.strip(), content.strip()
    if not colon or not _HEADER.fullmatch(name) or not content or not _TEXT.fullmatch(content):
        raise ValueError(f"{value!r} is not of the form Name:value")
    return HeaderMatch(name.lower(), content)


def _one_of(value: T, allowed: tuple[T, ...]) -> T:
    if value not in allowed:
        raise ValueError(f"must be one of {', '.join(map(str, allowed))}")
    return value


def _text(value: str) -> str:
    if not value or not _TEXT.fullmatch(value):
        raise ValueError("must be printable characters of ASCII")
    return value


def _matching(pattern: re.Pattern[str], rule: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} {rule}")
        return value

    return check


def checked_line(value: str) -> str:
    """A piece of HAProxy configuration: on one line."""
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("must be on one line, without control characters")
    return value


def _not_framing(line: str) -> str:
    require_no_framing(line.split(" ")[0])
    return line


def _rewrites(value: object) -> object:
    """`search,replace` pairs separated by colons."""
    if not isinstance(value, str):
        return value
    pairs = []
    for item in value.split(":"):
        search, comma, replace = item.partition(",")
        if not comma or not search:
            raise ValueError(f"{item!r} is not of the form search,replace")
        pairs.append(Rewrite(checked_line(search), checked_line(replace)))
    return tuple(pairs)


def _lines(value: str) -> str:
    value = value.replace("\r\n", "\n").replace("\t", " ")
    for line in value.split("\n"):
        checked_line(line)
    return value


def _extra(value: str) -> str:
    """Lines of a backend, which cannot begin another section or reach a local socket."""
    for line in value.splitlines():
        if keyword(line) in SECTIONS:
            raise ValueError(f"{line[:80]!r} begins a section; give lines of a backend")
    require_network_addresses(value.splitlines())
    return value


class Rewrite(NamedTuple):
    """A regular expression, and what its first match in the path becomes."""

    search: str
    replace: str


class HeaderMatch(NamedTuple):
    """A header that a request must carry with exactly this value."""

    name: str
    value: str


Flag = Annotated[bool, BeforeValidator(_flag)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, AfterValidator(_name)]
RedirectedDomain = Annotated[str, AfterValidator(_redirected)]
Line = Annotated[str, AfterValidator(checked_line)]
HeaderLine = Annotated[
    Line,
    AfterValidator(_matching(re.compile(r"[!%&*+.^|~\w-]+ +\S.*"), "is not of the form `Name value`")),
    AfterValidator(_not_framing),
]
HeaderName = Annotated[
    Line,
    AfterValidator(_matching(re.compile(r"[!%&*+.^|~\w-]+(?: +\S.*)?"), "is not the name of a header")),
    AfterValidator(_not_framing),
]
Words = Annotated[
    str,
    AfterValidator(_matching(_WORDS, "is not words with spaces between them, such as gzip or text/html text/plain")),
]
Lines = Annotated[str, AfterValidator(_lines)]
Method = Annotated[
    str,
    BeforeValidator(lambda v: v.upper() if isinstance(v, str) else v),
    AfterValidator(_matching(_METHOD, "is not an HTTP method")),
]
PathType = Annotated[
    str,
    AfterValidator(
        _matching(
            re.compile(f"{_PATH_TYPE.pattern}|{_SNI_TYPE.pattern}"),
            "is not one of path, path_beg, path_end, path_reg, path_sub, path_dir, path_dom, each with -i or without,"
            " or for sni req_ssl_sni -i -m beg|end|reg|sub|dom|dir|str",
        )
    ),
]
DomainAlgo = Annotated[
    str,
    AfterValidator(
        _matching(
            re.compile(f"{_DOMAIN_ALGO.pattern}|{_SNI_ALGO.pattern}"),
            "is not one of hdr(host), hdr_beg(host), hdr_end(host), hdr_dom(host), hdr_sub(host), hdr_reg(host),"
            " or for tcp req.ssl_sni",
        )
    ),
]
Duration = Annotated[
    str, AfterValidator(_matching(_DURATION, "is not a time: write seconds, or a number with ms, s, m, h or d"))
]
RedirectCode = Annotated[int, AfterValidator(lambda v: _one_of(v, (301, 302, 303, 307, 308)))]
Address = Annotated[str, AfterValidator(_address)]
Text = Annotated[str, AfterValidator(_text)]
FilePath = Annotated[str, AfterValidator(_matching(re.compile(r"/[ -~]+"), "is not the absolute path of a file"))]
Header = Annotated[HeaderMatch, BeforeValidator(lambda v: _header(v) if isinstance(v, str) else v)]


class Defaults(NamedTuple):
    """What the settings say for every service: SEPARATOR, HTTPS_ONLY, SERVICE_DOMAIN_ALGO, DEFAULT_REQ_MODE.

    `raw`: what HAProxy configuration the service may write itself (FLOWPROXY_RAW_CONFIG).
    `users`: the names in USERS that have a password; `secret_users`: those of each secret `dfp_users_<name>`, None
    where the secrets are not known. Both in lower case.
    `client_certificates`: whether HAProxy asks clients for a certificate (CA_FILE).
    `proxies_known`: whether the operator said which proxies stand in front (FLOWPROXY_TRUSTED_PROXIES).
    """

    separator: str = ","
    https_only: bool = False
    service_domain_algo: str | None = None
    req_mode: str = "http"
    raw: Level = "all"
    users: frozenset[str] = frozenset()
    secret_users: Mapping[str, frozenset[str]] | None = None
    client_certificates: bool = True
    proxies_known: bool = True


class Parameters(BaseModel):
    """Frozen values that are written camelCase outside."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    @classmethod
    def by_public_name(cls) -> dict[str, str]:
        """Public parameter name -> field name."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}


class Destination(Parameters):
    """Where a part of a service's requests goes. Parameters with an index (`port.1`, `servicePath.1`) describe
    several."""

    index: int = Field(0, exclude=True, description="The number behind the dot; 0 without one.")
    # Which requests
    req_mode: Annotated[
        Literal["http", "tcp", "sni"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)
    ] = Field(
        "http",
        description="`http`; `tcp` for plain connections on `srcPort`; `sni` for TLS that the service terminates.",
    )
    port: Port | None = Field(None, description="The port that the service listens on inside its containers.")
    https_port: Port | None = Field(
        None, description="Another port of the service, for requests that came in on `srcHttpsPort`."
    )
    service_path: tuple[str, ...] = Field(
        (),
        description="Paths, separated by commas. A request matches when its path begins with one of them, or as"
        " `pathType` says. `/` when only a domain is given. For `sni`, the values of the TLS server name.",
    )
    service_path_exclude: tuple[str, ...] = Field(
        (), description="Paths that are not for this destination although servicePath covers them."
    )
    path_type: PathType = Field(
        "path_beg",
        description="How paths are compared: `path_beg`, `path` (equal), `path_reg`, `path_end`, `path_sub` …",
    )
    service_domain: tuple[Line, ...] = Field(
        (),
        description="Host names, separated by commas, without a port. Case is ignored. `*.example.org` matches every"
        " name below example.org. Without a domain, requests to any host match.",
    )
    service_header: tuple[Header, ...] = Field(
        (), description="Headers as `Name:value`, separated by commas; a request must carry all of them."
    )
    user_agent: tuple[Text, ...] = Field(
        (), description="Texts, separated by commas; the User-Agent header must contain one of them. Case is ignored."
    )
    src_port: Port | None = Field(
        None, description="The port that the request must have come in on. For `tcp` and `sni` the port to listen on."
    )
    src_https_port: Port | None = Field(
        None, description="The port that requests for `httpsPort` come in on; 443 when only httpsPort is given."
    )
    # Where to
    outbound_hostname: Address | None = Field(
        None, description="A host name or IP address to send requests to instead of the service's tasks."
    )
    service_protocol: Literal["http1", "h2"] = Field(
        "http1",
        description="What the service speaks: `h2` for HTTP/2 without an upgrade, as gRPC does.",
    )
    ssl_verify_none: Flag = Field(
        False, description="Whether to speak TLS to the service, without checking its certificate."
    )
    check_tcp: Flag = Field(False, description="Whether servers of a tcp destination are checked by connecting.")
    clitcpka: Flag = Field(False, description="Whether TCP keep-alive is on towards clients of a tcp destination.")
    service_group: Name | None = Field(
        None,
        description="Tcp destinations of one group share one port and one backend, whose settings are those of the"
        " oldest member. A group is joined by services of its oldest member's stack, and by others with its"
        " `groupToken`.",
    )
    group_token: SecretStr | None = Field(
        None, description="A secret that services of different stacks, or of none, share in order to be one group."
    )
    balance_group: Line | None = Field(None, description="HAProxy's balance algorithm for the group.")
    # What happens to them
    https_only: Flag = Field(False, description="Whether plain HTTP is redirected to HTTPS.")
    https_redirect_code: RedirectCode | None = Field(None, description="Status of such redirects; HAProxy's is 302.")
    redirect_from_domain: tuple[RedirectedDomain, ...] = Field(
        (), description="Domains whose requests are redirected to the first `serviceDomain`."
    )
    deny_http: Flag = Field(False, description="Whether plain HTTP is answered with 403.")
    allowed_methods: tuple[Method, ...] = Field((), description="HTTP methods; all others are answered with 403.")
    denied_methods: tuple[Method, ...] = Field((), description="HTTP methods that are answered with 403.")
    verify_client_ssl: Flag = Field(
        False, description="Whether a client certificate that CA_FILE vouches for is required; 403 without."
    )
    ignore_authorization: Flag = Field(False, description="Whether this destination is open although users are set.")
    req_path_search_replace: Annotated[tuple[Rewrite, ...], BeforeValidator(_rewrites)] = Field(
        (),
        description="`search,replace` pairs separated by colons: an expression and what its first match becomes.",
    )
    timeout_server: Duration | None = Field(None, description="How long the service may be silent, in seconds.")
    timeout_tunnel: Duration | None = Field(
        None, description="How long a tunnel or tcp connection may be silent, in seconds."
    )
    timeout_client: Duration | None = Field(
        None, description="How long a client of tcp or sni may be silent, in seconds."
    )
    user_def: Line | None = Field(None, description="Anything, for custom templates.")


class User(NamedTuple):
    """A user name with a password, or with its crypt hash."""

    name: str
    password: str
    encrypted: bool


class Service(Parameters):
    """What one Swarm service, API call or environment block asked for."""

    service_name: Name = Field(
        description="The name of the Swarm service. For labels it is taken from the service itself."
    )
    acl_name: Name | None = Field(
        None,
        description="A name that orders services which claim the same route: those that have one come first, in its"
        " alphabetical order. Also the first part of the names of the backends.",
    )
    service_domain_algo: DomainAlgo | None = Field(
        None,
        description="How domains are compared: `hdr_beg(host)`, `hdr_end(host)`, `hdr_dom(host)`, `hdr_reg(host)` …"
        " Without it they are compared whole.",
    )
    is_default_backend: Flag = Field(
        False, description="Whether requests that match no route go to the first destination of this service."
    )
    share_host: Flag = Field(
        False,
        description="Whether services of other stacks may use the hosts that this service is the oldest one of; only"
        " with `FLOWPROXY_HOSTS=stack`.",
    )
    replicas: int | None = Field(
        None, ge=0, description="How many tasks the service has. With 0 it loses its route. Set by the listener."
    )
    distribute: Flag = Field(False, description="Whether a call is passed to all replicas of the proxy.")
    proxy_instance_name: Text | None = Field(
        None, description="The proxy that this service is for, where FILTER_PROXY_INSTANCE_NAME is on."
    )
    discovery_type: Text | None = Field(
        None,
        description="`vip`: requests go to the service's virtual IP. With anything else they go to its single tasks.",
    )
    check_resolvers: Flag = Field(False, description="Without effect: Flowproxy looks names up itself.")
    session_type: Text | None = Field(
        None,
        description="`sticky-server`: a cookie keeps a client with its task. Any other value has no effect.",
    )
    connection_mode: (
        Literal["http-keep-alive", "http-server-close", "httpclose", "http-tunnel", "forceclose"] | None
    ) = Field(None, description="HAProxy's option for connections, for this service alone.")
    redirect_when_http_proto: Flag = Field(
        False,
        description="Whether requests that come with `X-Forwarded-Proto: http` from a proxy in front are redirected to"
        " HTTPS.",
    )
    redirect_unless_https_proto: Flag = Field(
        False,
        description="Whether requests that do not come with `X-Forwarded-Proto: https` from a proxy in front are"
        " redirected to HTTPS.",
    )
    users: Lines | None = Field(
        None, description="`name:password` items, separated by commas, who may use the service."
    )
    users_secret: Name | None = Field(None, description="The users are in the secret `dfp_users_<this>`.")
    users_pass_encrypted: Flag = Field(
        False,
        description="Whether the passwords are crypt hashes, which must be quick to compute: `$5$` and `$6$` with at"
        " most 10000 rounds, bcrypt with a cost of at most 06.",
    )
    add_req_header: tuple[HeaderLine, ...] = Field(
        (), description="Request headers to add: `Name value`, conditions included."
    )
    set_req_header: tuple[HeaderLine, ...] = Field((), description="Request headers to set.")
    del_req_header: tuple[HeaderName, ...] = Field(
        (), description="Request headers to delete; with a condition it is HAProxy configuration, as `backendExtra` is."
    )
    add_res_header: tuple[HeaderLine, ...] = Field((), description="Response headers to add.")
    set_res_header: tuple[HeaderLine, ...] = Field((), description="Response headers to set.")
    del_res_header: tuple[HeaderName, ...] = Field((), description="Response headers to delete.")
    compression_algo: Words | None = Field(None, description="Compression of responses, such as `gzip`.")
    compression_type: Words | None = Field(None, description="The media types that are compressed.")
    backend_extra: Annotated[Lines, AfterValidator(_extra)] | None = Field(
        None, description="Lines of HAProxy configuration for the backend, as far as FLOWPROXY_RAW_CONFIG allows."
    )
    service_cert: SecretStr | None = Field(
        None,
        description="PEM of a certificate and its key, for hosts whose `/` route the service has; `\\n` for line ends.",
    )
    template_fe_path: FilePath | None = Field(
        None,
        description="A Jinja2 template, a file of the proxy's container, whose lines replace the service's routes.",
    )
    template_be_path: FilePath | None = Field(
        None, description="A Jinja2 template whose sections replace the service's backends."
    )
    debug: Flag = Field(False, description="Whether requests of this service are logged.")
    debug_format: Line | None = Field(
        None,
        description="HAProxy's log-format on the tcp or sni ports of this service, where all services of the port agree"
        " on it and it is no port of http routes.",
    )
    destinations: tuple[Destination, ...] = Field((), exclude=True)
    ignored: tuple[str, ...] = Field((), exclude=True, description="Names of parameters that mean nothing here.")
    warnings: tuple[str, ...] = Field((), exclude=True, description="What its author probably meant otherwise.")

    def asks_the_same(self, other: Service) -> bool:
        """Whether two differ at most in what means nothing here."""
        nothing = {"ignored": (), "warnings": (), "distribute": False, "replicas": None}
        return self.model_copy(update=nothing) == other.model_copy(update=nothing)

    @cached_property
    def has_ports(self) -> bool:
        """Whether some destination listens on a port of its own."""
        return any(destination.req_mode != "http" for destination in self.destinations)

    @property
    def brings_templates(self) -> bool:
        return bool(self.template_fe_path or self.template_be_path)

    @property
    def wants_virtual_ip(self) -> bool:
        return (self.discovery_type or "").lower() == "vip"

    def hosts(self) -> frozenset[str]:
        """The names whose addresses its requests go to; an IP address needs no looking up."""
        sending = (destination for destination in self.destinations if destination.port or destination.https_port)
        hosts = (destination.outbound_hostname or self.service_name for destination in sending)
        return frozenset(host for host in hosts if not is_address(host))


class Candidate(NamedTuple):
    """A service with what decides between equals: when it first appeared, in seconds since 1970.

    `owner` is who answers for it: its stack, or the environment; empty where it answers for itself alone.
    """

    service: Service
    created: float
    owner: str = ""

    @property
    def age(self) -> tuple[float, str]:
        """Sorts the oldest first."""
        return (self.created, self.service.service_name)

    @property
    def owned_by(self) -> str:
        """In words."""
        return self.owner or f"service {self.service.service_name}, which is of no stack"

    @property
    def seniority(self) -> tuple[bool, str, float, str]:
        """Sorts equals: an explicit aclName, then the older, then the name."""
        acl = self.service.acl_name
        return (acl is None, acl or "", self.created, self.service.service_name)

    def is_beside(self, other: Candidate) -> bool:
        """Whether both have one owner."""
        same = self.service.service_name == other.service.service_name
        return same or (bool(self.owner) and self.owner == other.owner)


class Endpoint(NamedTuple):
    """Where one task, or one address of a host name, is reached. The same name always means the same address."""

    name: str
    address: str

    @classmethod
    def of_address(cls, address: str) -> Endpoint:
        """The endpoint of an address that has no name of its own."""
        return cls(address.replace(":", "-"), address)


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def public(model: Parameters) -> dict[str, Any]:
    """The parameters of a model under their public names, as JSON values."""
    return model.model_dump(by_alias=True, mode="json")
