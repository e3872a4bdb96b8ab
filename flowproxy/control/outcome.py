"""The outcome of a round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowproxy.errors import ForeignHost, ParameterRejected, Rejected
from flowproxy.rendering.configuration import Configuration
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.table import RouteTable

_EMPTY = compile_routes(())


class Outcome(NamedTuple):
    """The outcome of the last round. `failure` is the reason why HAProxy does not run the desired configuration.

    Among the quarantined services, `foreign` are those that request a host of another stack, and `blamed` those with a
    parameter that HAProxy rejects.
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
        """Return the error that explains why a quarantined service is not served as requested."""
        kind = ForeignHost if name in self.foreign else ParameterRejected if name in self.blamed else Rejected
        return kind(self.quarantined[name])
