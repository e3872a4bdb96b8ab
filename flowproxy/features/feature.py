"""The description of a feature, which lets the rest of Flowproxy work without knowing any feature by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from flowproxy.errors import Problem
from flowproxy.text.lines import Level

if TYPE_CHECKING:  # these are composed of the features
    from flowproxy.features import DestinationParameters, ServiceParameters

MOST_VALUES = 200  # compared one by one rather than found in an index


class Parameters(BaseModel):
    """Frozen values whose public names are in camelCase."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    @classmethod
    def by_public_name(cls) -> dict[str, str]:
        """Return the field names by public parameter name."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}


class Defaults(NamedTuple):
    """The settings that apply to every service: SEPARATOR, HTTPS_ONLY, SERVICE_DOMAIN_ALGO, DEFAULT_REQ_MODE.

    `raw`: the HAProxy configuration that a service may supply (FLOWPROXY_RAW_CONFIG).
    `users`: the names in USERS that have a password; `secret_users`: those of each secret `dfp_users_<name>`, None
    where the secrets are not known. Both in lower case.
    `client_certificates`: whether HAProxy asks clients for a certificate (CA_FILE).
    `proxies_known`: whether the operator has named the proxies in front (FLOWPROXY_TRUSTED_PROXIES).
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


class Change(StrEnum):
    """How a changed value of a parameter reaches a running HAProxy."""

    NOTHING = "nothing"  # HAProxy does not see it
    MAP = "map"  # commands that change entries of maps
    SERVER = "server"  # commands that change servers
    RELOAD = "reload"  # a new worker, unless a spare backend is used


class Raw(NamedTuple):
    """How a parameter that takes HAProxy's language is checked where FLOWPROXY_RAW_CONFIG is not `all`.

    `check` raises ValueError for what `safe` does not allow; without it nothing is allowed. `is_configuration`
    distinguishes values that `none` refuses from those that are checked at every level.
    """

    check: Callable[[str], None] | None
    is_configuration: Callable[[str], bool] = lambda value: True


class Protection(NamedTuple):
    """How a feature turns requests away.

    `level` is equal for destinations that are protected alike. `is_better` says whether the first of two destinations
    turns away a request that the second takes.
    """

    level: Callable[[DestinationParameters], object]
    is_better: Callable[[DestinationParameters, DestinationParameters], bool]


Mode: TypeAlias = Literal["http", "tcp"]
Destinations: TypeAlias = "Sequence[DestinationParameters]"
Check: TypeAlias = "Callable[[ServiceParameters, Destinations, Defaults], Iterable[Problem]]"
Warn: TypeAlias = "Callable[[ServiceParameters, Destinations, Defaults], Iterable[str]]"
OfBackend: TypeAlias = "Callable[[ServiceParameters, DestinationParameters], Iterable[str]]"


@dataclass(frozen=True)
class Feature:
    """One capability of a service. Its name is that of its module, template, tests and guide page.

    Attributes:
        service, destination: its parameters.
        modes: the kinds of backends that contain the lines of templates/backend/<name>.cfg.j2.
        change: the cost of a changed value; `changes` has the parameters that differ.
        server_options: words of the server lines of a destination.
        values: what HAProxy looks up while it runs, by slot; lines find it with `value(slot)`. There are neither
            spaces nor `#` in it.
        check: mistakes across fields that are each valid alone. warn: what the author probably did not mean.
        most: the maximum number of values or words that HAProxy compares one by one.
        raw: parameters that contain HAProxy's language.
        protection: how the destinations of a service may differ in whom they let in.
        protects: parameters whose misspelling would open a route; `guesses` are wrong names for them, in lower case
            and without separators.
        old_names: current names by old name, for the reference and the log; `modern` translates all parameters,
            given the separator of lists, to current ones.
    """

    name: str
    service: type[Parameters] | None = None
    destination: type[Parameters] | None = None
    modes: tuple[Mode, ...] = ()
    change: Change = Change.RELOAD
    changes: Mapping[str, Change] = field(default_factory=dict)
    server_options: OfBackend | None = None
    values: Callable[[ServiceParameters, DestinationParameters], Mapping[str, str]] | None = None
    check: Check | None = None
    warn: Warn | None = None
    most: Mapping[str, int] = field(default_factory=dict)
    raw: Mapping[str, Raw] = field(default_factory=dict)
    protection: Protection | None = None
    protects: frozenset[str] = frozenset()
    guesses: Mapping[str, str] = field(default_factory=dict)
    old_names: Mapping[str, str] = field(default_factory=dict)
    modern: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """Return the field names by public parameter name."""
        groups = [group for group in (self.service, self.destination) if group is not None]
        return {public: name for group in groups for public, name in group.by_public_name().items()}

    def cost(self, parameter: str) -> Change:
        """Return the cost of a changed value of the parameter."""
        return self.changes.get(parameter, self.change)
