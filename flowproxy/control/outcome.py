"""How a round ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowproxy.errors import ForeignHost, ParameterRejected, Rejected
from flowproxy.rendering.configuration import Configuration
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.table import RouteTable

_EMPTY = compile_routes(())


class Outcome(NamedTuple):
    """How the last round ended. `failure` says why HAProxy is not where it should be. Of the quarantined, `foreign` are
    those that ask for a host of another stack, `blamed` those of which HAProxy refuses a parameter.
    """

    generation: int = 0
    applied: int = 0
    quarantined: Mapping[str, str] = {}
    foreign: Mapping[str, str] = {}
    blamed: frozenset[str] = frozenset()
    table: RouteTable = _EMPTY
    configuration: Configuration | None = None
    failure: str | None = None

    def refusal(self, name: str) -> Rejected:
        """Why a quarantined service does not serve as it asks."""
        kind = ForeignHost if name in self.foreign else ParameterRejected if name in self.blamed else Rejected
        return kind(self.quarantined[name])
