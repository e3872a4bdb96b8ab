"""Host names that no Swarm listing answers for: looked up here, so that HAProxy never has to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import structlog

from flowproxy.background import WakeUp
from flowproxy.errors import UnknownAddress
from flowproxy.services.model import Endpoint
from flowproxy.services.registry import Registry
from flowproxy.sources.source import SourceStatus, StatusRecord

_log = structlog.get_logger(__name__)

_REFRESH_SECONDS = 5.0
_LOOKUP_SECONDS = 5.0
_REPORTED = 10  # names in the status


class Names:
    """Keeps the addresses of every name that destinations send to and the Swarm does not place."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._wake_up = WakeUp()
        self._record = StatusRecord("names")
        self.looked = asyncio.Event()  # every name has been looked up once
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="names")

    @property
    def status(self) -> SourceStatus:
        """Return which names do not resolve."""
        return self._record.status

    def wake(self) -> None:
        """Look up new names at once."""
        self._wake_up.call()

    async def run(self) -> NoReturn:
        unused: frozenset[str] = frozenset()
        everything = True
        while True:
            snapshot = self._registry.snapshot()
            wanted = self._registry.hosts - snapshot.tasks.keys()
            async with asyncio.TaskGroup() as look_ups:
                for host in wanted if everything else wanted - snapshot.addresses.keys():
                    look_ups.create_task(self._refresh(host))
            if everything:
                # A name that a call is about to use is not in any service yet: it goes only when unused twice.
                still = (snapshot.addresses.keys() & unused) - self._registry.hosts
                for host in still:
                    self._registry.resolve(host, None)
                unused = frozenset(snapshot.addresses.keys() - self._registry.hosts)
            self._report(wanted)
            self.looked.set()
            everything = not await self._wake_up.wait(_REFRESH_SECONDS)

    async def require(self, host: str, within: float) -> None:
        """Return when the name has addresses or a place in the Swarm. Raises UnknownAddress after `within` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not self._registry.tasks_of(host) and not await self._refresh(host):
            if loop.time() >= deadline:
                raise UnknownAddress(
                    f"the name {host} does not resolve; is the service on a network of the proxy, is its name right?"
                )
            await asyncio.sleep(0.5)

    def _report(self, wanted: Collection[str]) -> None:
        unresolved = sorted(host for host in wanted if not self._registry.addresses_of(host))
        if unresolved:
            self._record.failed(f"names that do not resolve: {', '.join(unresolved[:_REPORTED])}")
        else:
            self._record.succeeded()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _refresh(self, host: str) -> bool:
        """Look up a name; after a failure, the known addresses are kept."""
        asked = self._registry.get(host)
        virtual = asked is not None and asked.service.wants_virtual_ip
        addresses = await (self.ask(host) if virtual else self._look_up(host))
        known = self._registry.addresses_of(host)
        if addresses:
            self._registry.resolve(host, map(Endpoint.of_address, addresses))
        elif known is None:
            _log.warning("name resolution failed", host=host)
            self._registry.resolve(host, [])
        return bool(addresses or known)

    async def _look_up(self, host: str) -> list[str]:
        # In a Swarm `tasks.<name>` is every task of the service, and the plain name only its virtual IP.
        return await self.ask(f"tasks.{host}") or await self.ask(host)

    async def ask(self, name: str) -> list[str]:
        """Return the addresses of exactly this name; empty if it does not resolve."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = await loop.run_in_executor(self._threads, _addresses, name)
        except (OSError, UnicodeError, TimeoutError):
            return []
        return found


def _addresses(name: str) -> list[str]:
    """Return the IPv4 addresses, or the IPv6 ones if there are none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    for family in (socket.AF_INET, socket.AF_INET6):
        addresses = sorted({str(info[4][0]) for info in found if info[0] == family})
        if addresses:
            return addresses
    return []
