"""The order of a start: the saved state, then the sources and the other replicas, then the first round."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import NoReturn

import structlog

from flowproxy.background import Background
from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas
from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.control.saved_state import SavedState
from flowproxy.errors import ProxyUnavailable
from flowproxy.haproxy.supervisor import Supervisor
from flowproxy.services.registry import Registry
from flowproxy.settings.model import Settings
from flowproxy.sources.host_names import Names
from flowproxy.sources.source import Source

_log = structlog.get_logger(__name__)

_FIRST_LISTING_SECONDS = 2
_FIRST_NAMES_SECONDS = 5
_FIRST_COMPARISON_SECONDS = 3


class Greeting:
    """Requests the certificates and services that this replica lacks from the other replicas at the start."""

    def __init__(self, replicas: Replicas, keyring: Keyring, exchange: Exchange, pause_s: float) -> None:
        """Args: `pause_s` is the time until the names of the replicas resolve, in seconds."""
        self._replicas = replicas
        self._keyring = keyring
        self._exchange = exchange
        self._pause_s = pause_s

    async def run(self, background: Background) -> None:
        """Request what is missing. A replica that does not answer in time is called again later."""
        await asyncio.sleep(self._pause_s)
        await self._replicas.ask_for_certificates({kept.name for kept in self._keyring.kept()})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_COMPARISON_SECONDS):
                await background.keep("replicas", self._exchange.compare)


async def take_over(supervisor: Supervisor, saved: SavedState, *, with_swarm: bool) -> None:
    """Adopt the running HAProxy, or start it on the last good configuration, and restore the saved state.

    With a Swarm, HAProxy is not started yet: the addresses of its tasks may belong to other containers by now.
    """
    adopted = await supervisor.attach()
    if not adopted and not with_swarm:
        await supervisor.start_as_before()
    saved.restore(adopted=adopted)


async def ask_at_once(sources: Sequence[Source], keyring: Keyring) -> None:
    """Read what is available immediately: the sources that do not change at run time, and the certificates."""
    for source in sources:
        await source.run()
    await keyring.look()


class FirstLook:
    """Delays the first round until the sources have answered, so that it does not remove routes temporarily."""

    def __init__(self, names: Names, swarm_listed: asyncio.Event | None) -> None:
        """Args: `swarm_listed` is set after the first listing of the Swarm; None without a Swarm."""
        self._names = names
        self._swarm_listed = swarm_listed

    async def look_names_up(self) -> NoReturn:
        """Look up the names that the Swarm does not list."""
        await self._listing()
        await self._names.run()

    async def reconcile(self, reconciler: Reconciler) -> NoReturn:
        """Run the loop after the first listing and look-ups, or after their timeouts."""
        await self._listing()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_NAMES_SECONDS):
                await self._names.looked.wait()
        await reconciler.run()

    async def _listing(self) -> None:
        """Return after the first listing of the Swarm or its timeout: until then, no saved endpoint is used."""
        if self._swarm_listed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_LISTING_SECONDS):
                    await self._swarm_listed.wait()


async def announce(reconciler: Reconciler, registry: Registry, settings: Settings, *, demo: bool) -> None:
    """Log the addresses of the ports once the first configuration is live or has failed."""
    with contextlib.suppress(ProxyUnavailable):
        await reconciler.live(registry.snapshot().generation, "")
    traffic = [f"http://localhost:{port}" for port in settings.traffic_ports]
    here = f"http://localhost:{settings.port}"
    more = {"try": f"curl {traffic[0]}/demo/hello"} if demo else {}
    _log.info(
        "ready" if reconciler.outcome.configuration else "not ready yet",
        traffic=", ".join(traffic),
        api=here,
        status=f"{here}/v1/status",
        **more,
    )
