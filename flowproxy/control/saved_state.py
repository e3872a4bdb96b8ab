"""The state that an earlier controller saved to disk: the starting point, and the fallback, of a start."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import NoReturn

import structlog

from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.supervisor import Supervisor
from flowproxy.services.admission import Admission
from flowproxy.services.registry import Origin
from flowproxy.services.store import Known, Store

_log = structlog.get_logger(__name__)


class SavedState:
    """Restores saved services and endpoints. Docker reuses addresses, so endpoints of a Swarm are used only while they
    are fresh."""

    def __init__(self, store: Store, admission: Admission, stale_after_s: float, *, with_swarm: bool) -> None:
        self._store = store
        self._admission = admission
        self._registry = admission.registry
        self._stale_after_s = stale_after_s
        self._with_swarm = with_swarm
        self._endpoints = Known({}, {}, None)

    def restore(self, *, adopted: bool) -> None:
        """Load the state that was known when the last controller ended.

        Args:
            adopted: whether HAProxy already serves the saved endpoints; then their age does not matter.
        """
        self._store.load(self._admission.admit_listed, without=() if self._with_swarm else (Origin.SWARM,))
        for name, at in self._store.load_removed().items():
            self._registry.note_removal(name, at)
        self._endpoints = known = self._store.load_endpoints()
        if self._with_swarm and not adopted and known.is_stale(time.time(), self._stale_after_s):
            if known.tasks or known.addresses:
                reason = f"they were not confirmed in the last {self._stale_after_s:.0f} s (FLOWPROXY_STALE_AFTER)"
                _log.warning("saved endpoints ignored", reason=reason)
            return
        self._registry.confirm(known.confirmed)
        for host, endpoints in known.addresses.items():
            self._registry.resolve(host, endpoints)
        for name, endpoints in known.tasks.items() if self._with_swarm else ():
            self._registry.place(name, endpoints)

    async def fall_back(self, reconciler: Reconciler, supervisor: Supervisor) -> None:
        """Start the last good configuration if the first one is rejected, unless the endpoints have changed."""
        if self._endpoints.confirmed is None:  # without a Swarm, HAProxy already runs the saved configuration
            return
        with contextlib.suppress(ProxyUnavailable):
            await reconciler.live(self._registry.snapshot().generation, "")
        if reconciler.outcome.configuration is not None:
            return
        now = self._registry.snapshot()
        if (now.tasks, now.addresses) == (self._endpoints.tasks, self._endpoints.addresses):
            await supervisor.start_as_before()
        else:
            _log.warning("saved configuration ignored", reason="the addresses of its servers have changed")

    async def keep_confirmed(self) -> NoReturn:
        """Save the time of the last complete listing, so that a start knows the age of the endpoints."""
        while True:
            await asyncio.sleep(self._stale_after_s / 10)
            await asyncio.to_thread(self._store.save_endpoints, self._registry.snapshot())
