"""What one service asks for. The field names are the snake_case of the public parameter names, which are the aliases.

Docker Flow Proxy's parameters keep their names and meaning. Every field's description is its documentation: the
reference in docs/reference/parameters.md is generated from it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:]{2,45}")
_PATH = re.compile(r"/[!-~]*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[ -~]*")

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True", "on"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", "off", ""})


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be letters, digits, '_', '.' or '-', begin with a letter or digit, and have at most 128")
    return value


def _domain(value: str) -> str:
    domain = value.strip().lower().rstrip(".")
    if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
        raise ValueError(
            f"{value!r} is not a domain: write a name such as example.org, or *.example.org for all names below it"
            " (names with other letters in their xn-- form, no port)"
        )
    return domain


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f'{value!r} does not start with "/"; write "/{value}"')
    if not _PATH.fullmatch(value) or "#" in value or "?" in value:
        raise ValueError(
            f"{value!r} holds a character that no request path has; write spaces and other letters percent-encoded,"
            " and no query string"
        )
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


def _text(value: str) -> str:
    if not value or not _TEXT.fullmatch(value):
        raise ValueError("must be printable characters of ASCII")
    return value


class HeaderMatch(NamedTuple):
    """A header that a request must carry with exactly this value."""

    name: str
    value: str


Flag = Annotated[bool, BeforeValidator(_flag)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, AfterValidator(_name)]
Domain = Annotated[str, AfterValidator(_domain)]
Path = Annotated[str, AfterValidator(_path)]
Address = Annotated[str, AfterValidator(_address)]
Text = Annotated[str, AfterValidator(_text)]
Header = Annotated[HeaderMatch, BeforeValidator(lambda v: _header(v) if isinstance(v, str) else v)]


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
    port: Port | None = Field(None, description="The port that the service listens on inside its containers.")
    service_path: tuple[Path, ...] = Field(
        (),
        description="Paths, separated by commas. A request matches when its path begins with one of them."
        " `/` when only a domain is given.",
    )
    service_path_exclude: tuple[Path, ...] = Field(
        (), description="Paths that are not for this destination although servicePath covers them."
    )
    service_domain: tuple[Domain, ...] = Field(
        (),
        description="Host names, separated by commas, without a port. Case is ignored. `*.example.org` matches every"
        " name below example.org. Without a domain, requests to any host match.",
    )
    service_header: tuple[Header, ...] = Field(
        (), description="Headers as `Name:value`, separated by commas; a request must carry all of them."
    )
    user_agent: tuple[Text, ...] = Field(
        (),
        description="Texts, separated by commas; the User-Agent header must contain one of them. Case is ignored.",
    )
    src_port: Port | None = Field(
        None, description="The port that the request must have come in on; one of DEFAULT_PORTS."
    )
    outbound_hostname: Address | None = Field(
        None, description="A host name or IP address to send requests to instead of the service's tasks."
    )

    def is_named_by(self) -> bool:
        """Whether anything of what makes a destination a destination was given."""
        return bool(self.service_path or self.service_domain or self.port)


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
    is_default_backend: Flag = Field(
        False, description="Whether requests that match no route go to the first destination of this service."
    )
    replicas: int | None = Field(
        None,
        ge=0,
        description="How many tasks the service has. With 0 it loses its route. Set by the listener.",
    )
    destinations: tuple[Destination, ...] = Field((), exclude=True)
    ignored: tuple[str, ...] = Field((), exclude=True, description="Names of parameters that mean nothing here.")

    def hosts(self) -> frozenset[str]:
        """The names whose addresses its requests go to; an IP address needs no looking up."""
        hosts = (destination.outbound_hostname or self.service_name for destination in self.destinations)
        return frozenset(host for host in hosts if not is_address(host))


class Endpoint(NamedTuple):
    """Where one task, or one address of a host name, is reached. The same name always means the same address."""

    name: str
    address: str

    @classmethod
    def of_address(cls, address: str) -> Endpoint:
        """The endpoint of an address that has no name of its own."""
        return cls(address.replace(":", "-"), address)


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
