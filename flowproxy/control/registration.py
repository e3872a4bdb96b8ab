"""A service registered or removed on request: admitted, live before the answer, and undone when it cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import ProxyUnavailable, Rejected
from flowproxy.services.admission import Admission, Channel, ServiceRequest
from flowproxy.services.model import Service
from flowproxy.services.registry import Entry, Origin
from flowproxy.settings.model import Settings
from flowproxy.sources.host_names import Names
from flowproxy.sources.source import SourceStatus, State, StatusRecord


class _Calls:
    """Those under way for one service. `before` is what the last one that succeeded left, or what was there first."""

    def __init__(self, before: Entry | None) -> None:
        self.before = before
        self.under_way = 0


class Registration:
    """Registers and removes services for callers who wait for the result."""

    def __init__(
        self, settings: Settings, admission: Admission, reconciler: Reconciler, names: Names, exchange: Exchange
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._registry = admission.registry
        self._reconciler = reconciler
        self._names = names
        self._exchange = exchange
        self._calls: dict[str, _Calls] = {}
        self._record = StatusRecord("api", State.OK)

    @property
    def status(self) -> SourceStatus:
        """Return when a call last changed something."""
        return self._record.status

    def examine(self, parameters: Mapping[str, str]) -> Service:
        """Return the service that a call asks for. Raises InvalidService with all that is wrong."""
        return self._admission.examine(_request(parameters, 0.0))

    async def register(self, service: Service, parameters: Mapping[str, str], called: float | None = None) -> None:
        """Bring an examined service live. One without replicas, or for another proxy, is removed instead.

        Args:
            parameters: what the service was examined from.
            called: when another replica was called that passes the call on, in seconds since 1970.

        Raises OwnedElsewhere, UnknownAddress when a host does not resolve, Rejected when HAProxy refuses the service
        and ProxyUnavailable when it cannot be reached; then everything is as before.
        """
        if self._admission.is_wanted(service):
            await self._require_addresses(service)
        request = _request(parameters, self.time_of_call(called))
        await self._change(service.service_name, lambda: self._admission.enter(request, service))

    async def remove(self, name: str, called: float | None = None) -> None:
        """Remove a service, and return when it is not served any more. An unknown one is no error.

        Raises OwnedElsewhere, Rejected and ProxyUnavailable as `register` does.
        """
        at = self.time_of_call(called)
        await self._change(name, lambda: self._admission.withdraw(name, Origin.API, at))

    def touch(self) -> int:
        """Return the generation of a round that is to come, although nothing that is wanted has changed."""
        return self._registry.touch()

    def time_of_call(self, called: float | None) -> float:
        """Return when a service was asked for, in seconds since 1970. A replica that passes a call on says when it was
        first made, so that all of them take the same service for the older one."""
        now = self._registry.created_at(time.time())
        return now if called is None else min(called, now)

    async def _require_addresses(self, service: Service) -> None:
        if self._settings.do_not_resolve_addr:
            return
        patience = self._settings.reconfigure_attempts if self._settings.skip_address_validation else 0
        for host in sorted(service.hosts()):
            await self._names.require(host, within=patience)

    async def _change(self, name: str, change: Callable[[], int]) -> None:
        """Change a service, and undo it when HAProxy does not take it, unless another call or source has changed the
        service since. Of calls at the same time none goes back to what another one failed with."""
        calls = self._calls.setdefault(name, _Calls(self._registry.get(name)))
        calls.under_way += 1
        try:
            generation = change()
            changed = self._registry.get(name)
            try:
                await self._reconciler.live(generation, name)
            except (Rejected, ProxyUnavailable):
                if self._registry.get(name) is changed:
                    self._restore(name, calls.before)
                raise
            calls.before = changed
        finally:
            calls.under_way -= 1
            if not calls.under_way:
                del self._calls[name]
        self._record.succeeded()
        self._exchange.wake()

    def _restore(self, name: str, before: Entry | None) -> None:
        """Another replica may know of the refused call already, so what was is made the newest again."""
        now = self.time_of_call(None)
        if before and before.origin == Origin.API:
            self._registry.put(before._replace(changed=now if before.changed else 0.0))
        elif before is None:
            self._registry.remove(name, Origin.API, now)


def _request(parameters: Mapping[str, str], at: float) -> ServiceRequest:
    return ServiceRequest(Origin.API, at, parameters, changed=at, channel=Channel.CALLED)
