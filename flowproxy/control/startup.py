"""The order of a start: what is there first, then what the sources and the other replicas say, then the first round."""

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
    """The first talk with the other replicas: the certificates and services that this one does not have yet."""

    def __init__(self, replicas: Replicas, keyring: Keyring, exchange: Exchange, pause_s: float) -> None:
        """`pause_s` are the seconds that the names of the replicas take to appear."""
        self._replicas = replicas
        self._keyring = keyring
        self._exchange = exchange
        self._pause_s = pause_s

    async def run(self, background: Background) -> None:
        """Ask for what is missing. A replica that does not answer in time is asked again later."""
        await asyncio.sleep(self._pause_s)
        await self._replicas.ask_for_certificates({kept.name for kept in self._keyring.kept()})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_COMPARISON_SECONDS):
                await background.keep("replicas", self._exchange.compare)


async def take_over(supervisor: Supervisor, saved: SavedState, *, with_swarm: bool) -> None:
    """Adopt the HAProxy that runs, or start it on the last good configuration, and begin with what was saved.

    With a Swarm it is not started yet: the addresses of its tasks may be those of others by now.
    """
    adopted = await supervisor.attach()
    if not adopted and not with_swarm:
        await supervisor.start_as_before()
    saved.restore(adopted=adopted)


async def ask_at_once(sources: Sequence[Source], keyring: Keyring) -> None:
    """Read what answers without waiting: sources that do not change while we run, and the certificates."""
    for source in sources:
        await source.run()
    await keyring.look()


class FirstLook:
    """What the first round waits for, so that it does not take routes away for a moment."""

    def __init__(self, names: Names, swarm_listed: asyncio.Event | None) -> None:
        """`swarm_listed` is set once the Swarm was listed; None where there is none."""
        self._names = names
        self._swarm_listed = swarm_listed

    async def look_names_up(self) -> NoReturn:
        """Look up the names that the Swarm has not placed."""
        await self._listing()
        await self._names.run()

    async def reconcile(self, reconciler: Reconciler) -> NoReturn:
        """Run the loop, after a first look at the world or when that takes too long."""
        await self._listing()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_NAMES_SECONDS):
                await self._names.looked.wait()
        await reconciler.run()

    async def _listing(self) -> None:
        """Return when the Swarm was listed or does not answer in time: until then no saved endpoint is used."""
        if self._swarm_listed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_LISTING_SECONDS):
                    await self._swarm_listed.wait()


async def announce(reconciler: Reconciler, registry: Registry, settings: Settings, *, demo: bool) -> None:
    """Log where everything is, once the first configuration is live or cannot be."""
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
