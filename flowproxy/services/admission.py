"""The only way into the registry: the requests of all sources are parsed, checked, logged and entered here.

Swarm, environment, demo, an old listener, API calls, other replicas and the saved state hand over the same
`ServiceRequest`, and get the same service, refusals, warnings and log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import structlog

from flowproxy.errors import InvalidService, OwnedElsewhere
from flowproxy.features import Defaults
from flowproxy.services.model import Service
from flowproxy.services.parse import deprecated, name_in, parse
from flowproxy.services.registry import Entry, Origin, Registry

_log = structlog.get_logger(__name__)

_REMEMBERED = 10_000  # logged deprecated parameters; bounded because callers choose the names


class Channel(StrEnum):
    """How a request arrives: decides who receives a refusal and which HAProxy configuration is allowed."""

    LISTED = "listed"  # by a source that waits for no answer: a refusal is recorded for the service
    CALLED = "called"  # by a client of the API, which gets the refusal as its answer; nothing is recorded
    REPLICATED = "replicated"  # by another replica, which took it from a client; it keeps its times


class ServiceRequest(NamedTuple):
    """The request of a source; the fields are those of `Entry`."""

    origin: Origin
    created: float
    parameters: Mapping[str, str]
    stack: str = ""
    changed: float = 0.0
    channel: Channel = Channel.LISTED


class Rules(NamedTuple):
    """The settings that apply to all services.

    `listed` are the defaults of each origin, `called` those of services that come by a call. `takes` returns
    whether a service is for this proxy, if several share a Swarm.
    """

    listed: Mapping[Origin, Defaults]
    called: Defaults
    takes: Callable[[Service], bool] = lambda _: True


class Admission:
    """Admits services to the registry."""

    def __init__(self, registry: Registry, rules: Rules) -> None:
        self.registry = registry
        self._rules = rules
        self._logged: set[tuple[str, str]] = set()

    def examine(self, request: ServiceRequest) -> Service:
        """Return the requested service. Deprecated names are logged once for each service.

        Raises InvalidService with all problems, Untrusted for HAProxy configuration that the channel does not allow.
        """
        self._log_deprecated(request)
        is_listed = request.channel == Channel.LISTED
        return parse(request.parameters, self._rules.listed[request.origin] if is_listed else self._rules.called)

    def is_wanted(self, service: Service) -> bool:
        """Return whether the service has replicas and is for this proxy."""
        return service.replicas != 0 and self._rules.takes(service)

    def enter(self, request: ServiceRequest, service: Service) -> int:
        """Put an examined service into the registry; return the generation that holds it.

        One without replicas, or for another proxy, is withdrawn instead. Raises OwnedElsewhere when a source that
        outranks this one describes the service differently.
        """
        name = service.service_name
        # What another replica accepted is accepted here too, so that all replicas agree.
        if request.channel != Channel.REPLICATED and not self.is_wanted(service):
            return self.withdraw(name, request.origin, at=request.changed or None)
        known = self.registry.get(name)
        origin, created, parameters, stack, changed, _ = request
        entry = Entry(service, origin, created, parameters, stack, changed)
        put = self.registry.adopt if request.channel == Channel.REPLICATED else self.registry.put
        generation = put(entry)
        for warning in service.warnings if known is None or known.service != service else ():
            _log.warning("service warning", service=name, origin=str(request.origin), warning=warning)
        return generation

    def admit(self, request: ServiceRequest) -> int:
        """Examine and enter a service. Raises InvalidService, OwnedElsewhere."""
        return self.enter(request, self.examine(request))

    def admit_listed(self, request: ServiceRequest) -> bool:
        """Admit a service of a source that waits for no answer; return whether it was accepted.

        A refusal is logged and recorded; the last good version of the service stays.
        """
        if self._is_known(request):
            return True
        try:
            self.admit(request)
        except InvalidService as error:
            self._refuse(error, request.origin)
            return False
        except OwnedElsewhere as error:
            _log.warning("service not used", origin=str(request.origin), reason=str(error))
            return False
        return True

    def withdraw(self, name: str, origin: Origin, at: float | None = None) -> int:
        """Remove a service that its source no longer wants; return the generation without it.

        Args:
            at: when a call asked for it, in seconds since 1970; None for a source that only lists: then a
                service of another source stays.

        Raises OwnedElsewhere when a call asks for it and a source that outranks it describes the service.
        """
        present = self.registry.get(name)
        if at is None and present is not None and present.origin != origin:
            return self.registry.withdraw_refusal(name, origin)
        return self.registry.remove(name, origin, at)

    def _is_known(self, request: ServiceRequest) -> bool:
        """Return whether the registry holds exactly this: a source lists all its services repeatedly."""
        name = name_in(request.parameters)
        known = self.registry.get(name)
        return known is not None and known[1:5] == request[:4] and not self.registry.refusal(name)

    def _refuse(self, error: InvalidService, origin: Origin) -> None:
        name, reason = error.service, str(error)
        if not name or self.registry.refusal(name) != reason:
            _log.warning("service refused", service=name, origin=str(origin), reason=reason)
        if name:
            self.registry.refuse(name, origin, reason)

    def _log_deprecated(self, request: ServiceRequest) -> None:
        for old, new in deprecated(request.parameters).items():
            service = name_in(request.parameters)
            if (service, old) in self._logged:
                continue
            if len(self._logged) >= _REMEMBERED:
                self._logged.clear()
            self._logged.add((service, old))
            _log.warning(
                "deprecated parameter", service=service, origin=str(request.origin), parameter=old, instead=new
            )
