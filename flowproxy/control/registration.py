"""Registers and removes services on request: a change is live before the answer, or undone if it fails."""

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
    """Calls in progress for one service. `before` is the state after the last successful call, or before the first."""

    def __init__(self, before: Entry | None) -> None:
        self.before = before
        self.under_way = 0


class Registration:
    """Registers and removes services for callers that wait for the result."""

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
        """Return the status of the API as a source, with the time of the last change by a call."""
        return self._record.status

    def examine(self, parameters: Mapping[str, str]) -> Service:
        """Return the service that a call requests. Raises InvalidService with all problems."""
        return self._admission.examine(_request(parameters, 0.0))

    async def register(self, service: Service, parameters: Mapping[str, str], called: float | None = None) -> None:
        """Register an examined service and return when it is served.

        A service without replicas, or for another proxy, is removed instead. After an error, the state is as before.

        Args:
            parameters: the parameters that the service was built from.
            called: for a call passed on by another replica, the time of the original call, in seconds since 1970.

        Raises:
            OwnedElsewhere: another source owns the service.
            UnknownAddress: a host does not resolve.
            Rejected: HAProxy rejects the service.
            ProxyUnavailable: HAProxy cannot be reached.
        """
        if self._admission.is_wanted(service):
            await self._require_addresses(service)
        request = _request(parameters, self.time_of_call(called))
        await self._change(service.service_name, lambda: self._admission.enter(request, service))

    async def remove(self, name: str, called: float | None = None) -> None:
        """Remove a service, and return when it is no longer served. An unknown service is not an error.

        Raises OwnedElsewhere, Rejected and ProxyUnavailable as `register` does.
        """
        at = self.time_of_call(called)
        await self._change(name, lambda: self._admission.withdraw(name, Origin.API, at))

    def touch(self) -> int:
        """Request a round although the desired state has not changed; return its generation."""
        return self._registry.touch()

    def time_of_call(self, called: float | None) -> float:
        """Return the time of the call for a service, in seconds since 1970.

        A replica that passes a call on adds the time of the original call, so that all replicas agree which service is
        older.
        """
        now = self._registry.created_at(time.time())
        return now if called is None else min(called, now)

    async def _require_addresses(self, service: Service) -> None:
        if self._settings.do_not_resolve_addr:
            return
        patience = self._settings.reconfigure_attempts if self._settings.skip_address_validation else 0
        for host in sorted(service.hosts()):
            await self._names.require(host, within=patience)

    async def _change(self, name: str, change: Callable[[], int]) -> None:
        """Change a service, and undo the change if HAProxy rejects it, unless another call or source has changed the
        service since. Concurrent calls never restore a version that another call failed with."""
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
        """Give the restored version a new time, because another replica may already hold the rejected one."""
        now = self.time_of_call(None)
        if before and before.origin == Origin.API:
            self._registry.put(before._replace(changed=now if before.changed else 0.0))
        elif before is None:
            self._registry.remove(name, Origin.API, now)


def _request(parameters: Mapping[str, str], at: float) -> ServiceRequest:
    return ServiceRequest(Origin.API, at, parameters, changed=at, channel=Channel.CALLED)
