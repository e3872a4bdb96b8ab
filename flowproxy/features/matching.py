"""Which requests a service receives: hosts, paths, ports and other conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from flowproxy.features.feature import MOST_VALUES, Change, Defaults, Destinations, Feature, Parameters
from flowproxy.text.values import Flag, Line, Name, Port, Text, matching

if TYPE_CHECKING:
    from flowproxy.features import ServiceParameters

_TEXT = re.compile(r"[ -~]+")
_HEADER = re.compile(r"[0-9A-Za-z_.-]+")
_PATH_TYPE = re.compile(r"(path(?:_(?:beg|end|reg|sub|dir|dom))?)(?: +(-i))?")
_SNI_TYPE = re.compile(r"req[._]ssl_sni(?: +-i)?(?: +-m +(str|beg|end|reg|sub|dom|dir))?(?: +-i)?")
_DOMAIN_ALGO = re.compile(r"(?:req\.)?hdr(?:_(beg|end|dom|sub|reg|dir))?\(host\)(?: +-i)?")
_SNI_ALGO = re.compile(r"req[._]ssl_sni(?: +-i)?(?: +-m +(?:str|beg|end|reg|sub|dom|dir))?")


class HeaderMatch(NamedTuple):
    """A header that a request must carry with exactly this value."""

    name: str
    value: str


def _header(value: object) -> object:
    if not isinstance(value, str):
        return value
    name, colon, content = value.partition(":")
    name, content = name.strip(), content.strip()
    if not colon or not _HEADER.fullmatch(name) or not _TEXT.fullmatch(content):
        raise ValueError(f"{value!r} is not of the form Name:value")
    return HeaderMatch(name.lower(), content)


Header = Annotated[HeaderMatch, BeforeValidator(_header)]
PathType = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(f"{_PATH_TYPE.pattern}|{_SNI_TYPE.pattern}"),
            "is not one of path, path_beg, path_end, path_reg, path_sub, path_dir, path_dom, each with -i or without,"
            " or for sni req_ssl_sni -i -m beg|end|reg|sub|dom|dir|str",
        )
    ),
]
DomainAlgo = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(f"{_DOMAIN_ALGO.pattern}|{_SNI_ALGO.pattern}"),
            "is not one of hdr(host), hdr_beg(host), hdr_end(host), hdr_dom(host), hdr_sub(host), hdr_reg(host),"
            " or for tcp req.ssl_sni",
        )
    ),
]


class OfDestination(Parameters):
    """Which requests a destination receives, and on which ports of the service."""

    req_mode: Annotated[
        Literal["http", "tcp", "sni"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)
    ] = Field(
        "http",
        description="`http`; `tcp` for plain connections on `srcPort`; `sni` for TLS that the service terminates.",
        examples=["http", "tcp"],
    )
    port: Port | None = Field(
        None, description="The port that the service listens on inside its containers.", examples=["8080", "8081"]
    )
    https_port: Port | None = Field(
        None,
        description="Another port of the service, for requests that came in on `srcHttpsPort`.",
        examples=["8443", "8444"],
    )
    service_path: tuple[str, ...] = Field(
        (),
        description="Paths, separated by commas. A request matches when its path begins with one of them, or as"
        " `pathType` says. `/` when only a domain is given. For `sni`, the values of the TLS server name.",
        examples=["/shop,/cart", "/store"],
    )
    service_path_exclude: tuple[str, ...] = Field(
        (),
        description="Paths that this destination does not receive although servicePath covers them.",
        examples=["/shop/admin", "/shop/internal"],
    )
    path_type: PathType = Field(
        "path_beg",
        description="How paths are compared: `path_beg`, `path` (equal), `path_reg`, `path_end`, `path_sub` …",
        examples=["path", "path_end"],
    )
    service_domain: tuple[Line, ...] = Field(
        (),
        description="Host names, separated by commas, without a port. Case is ignored. `*.example.org` matches every"
        " name below example.org. Without a domain, requests to any host match.",
        examples=["shop.example.org", "store.example.org"],
    )
    service_header: tuple[Header, ...] = Field(
        (),
        description="Headers as `Name:value`, separated by commas; a request must carry all of them.",
        examples=["X-Version:3", "X-Version:4"],
    )
    user_agent: tuple[Text, ...] = Field(
        (),
        description="Texts, separated by commas; the User-Agent header must contain one of them. Case is ignored.",
        examples=["curl,wget", "Mozilla"],
    )
    src_port: Port | None = Field(
        None,
        description="The port that the request must have come in on. For `tcp` and `sni` the port to listen on.",
        examples=["8000", "8001"],
    )
    src_https_port: Port | None = Field(
        None,
        description="The port that requests for `httpsPort` come in on; 443 when only httpsPort is given.",
        examples=["8443", "8444"],
    )


class OfService(Parameters):
    """How the routes of a service are compared and ordered."""

    acl_name: Name | None = Field(
        None,
        description="A name that orders services which claim the same route: those that have one come first, in its"
        " alphabetical order. Also the first part of the names of the backends.",
        examples=["01-shop", "02-shop"],
    )
    service_domain_algo: DomainAlgo | None = Field(
        None,
        description="How domains are compared: `hdr_beg(host)`, `hdr_end(host)`, `hdr_dom(host)`, `hdr_reg(host)` …"
        " Without it they are compared whole.",
        examples=["hdr_dom(host)", "hdr_end(host)"],
    )
    is_default_backend: Flag = Field(
        False,
        description="Whether requests that match no route go to the first destination of this service.",
        examples=["true"],
    )
    share_host: Flag = Field(
        False,
        description="Whether services of other stacks may use the hosts that this service is the oldest one of; only"
        " with `FLOWPROXY_HOSTS=stack`.",
        examples=["true"],
    )


def _warn(service: ServiceParameters, destinations: Destinations, _: Defaults) -> Iterable[str]:
    first = destinations[0]
    if service.is_default_backend and first.req_mode == "http" and first.service_path_exclude:
        yield (
            "isDefaultBackend: requests that match no route go to the first destination,"
            f" those of servicePathExclude{first.suffix} too"
        )


def _modern(parameters: Mapping[str, str]) -> Mapping[str, str]:
    match_all = parameters.get("serviceDomainMatchAll", "").lower() == "true"
    return {"serviceDomainAlgo": "hdr_dom(host)"} if match_all else {}


FEATURE = Feature(
    name="matching",
    service=OfService,
    destination=OfDestination,
    changes={
        "servicePath": Change.MAP,
        "serviceDomain": Change.MAP,
        "shareHost": Change.NOTHING,
        # The backend has another name: a spare one is used.
        "port": Change.SERVER,
        "aclName": Change.SERVER,
    },
    warn=_warn,
    most={"serviceHeader": 40, "userAgent": MOST_VALUES},  # a line of configuration has room for 64 words
    protects=frozenset({"serviceHeader", "servicePathExclude"}),
    guesses={
        **dict.fromkeys(
            "allow allowed allowfrom allowip allowips allowlist whitelist ipwhitelist ipallowlist allowedips denied"
            " deny denyfrom denyip denyips denylist blacklist blocklist ipblacklist ipdenylist restrict".split(),
            "serviceHeader or users (addresses are not compared)",
        ),
        **dict.fromkeys("exclude excludepath excludepaths pathexclude serviceexclude".split(), "servicePathExclude"),
    },
    old_names={"serviceDomainMatchAll": "serviceDomainAlgo=hdr_dom(host)"},
    modern=_modern,
)
