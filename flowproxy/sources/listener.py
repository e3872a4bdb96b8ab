"""Docker Flow Swarm Listeners that still run (LISTENER_ADDRESS): their services are fetched once they answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

import aiohttp
import structlog

from flowproxy.errors import ListenerFailed
from flowproxy.services.admission import Admission, ServiceRequest
from flowproxy.services.registry import Origin
from flowproxy.settings.model import Settings
from flowproxy.sources.source import SourceStatus, State, StatusRecord

_log = structlog.get_logger(__name__)

_CALL_SECONDS = 10
_PORT = 8080
_PATH = "/v1/docker-flow-swarm-listener/"


class Listeners:
    """The listeners of the setting. Their services count as those of the API, which listeners call too."""

    def __init__(self, settings: Settings, admission: Admission) -> None:
        self._settings = settings
        self._admission = admission
        self.addresses = settings.listener_address
        self.heard = not self.addresses  # at least one has answered
        self._record = StatusRecord("listener", State.WAITING if self.addresses else State.OFF)

    @property
    def status(self) -> SourceStatus:
        """Return the status of the last listener asked."""
        return self._record.status

    async def run(self) -> None:
        """Ask each until it has answered. Of several none is asked forever; the only one may be asked again and
        again (RELOAD_ATTEMPTS, REPEAT_RELOAD)."""
        async with asyncio.TaskGroup() as fetches:
            for address in self.addresses:
                fetches.create_task(self._follow(address))

    async def notify(self) -> None:
        """Ask all listeners to send their services again. Raises ListenerFailed, which names each that failed."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as calls:
            asked = [calls.create_task(self._asked(session, address)) for address in self.addresses]
        failures = [failure for task in asked if (failure := task.result())]
        if failures:
            raise ListenerFailed("; ".join(failures))

    async def _follow(self, address: str) -> None:
        attempts = 0
        is_failing = False
        while len(self.addresses) == 1 or attempts < self._settings.reload_attempts:
            attempts += 1
            try:
                await self._fetch(address)
            except ListenerFailed as error:
                self._record.failed(str(error))
                if not is_failing:
                    _log.warning("listener unreachable", reason=str(error))
                is_failing = True
            else:
                self.heard = True
                self._record.succeeded()
                if len(self.addresses) > 1 or not self._settings.repeat_reload:
                    return
            await asyncio.sleep(self._settings.reload_interval / 1000)

    async def _fetch(self, address: str) -> None:
        async with aiohttp.ClientSession() as session:
            listed = await self._ask(session, address, "get-services")
        if not isinstance(listed, list) or not all(_is_flat(item) for item in listed):
            raise ListenerFailed(f"{address}: its answer is not a list of services with text for each parameter")
        self.take(listed)
        _log.info("services fetched", listener=address, services=len(listed))

    def take(self, listed: Iterable[Mapping[str, str]]) -> None:
        """Admit the services of one listing, each given as its parameters."""
        for parameters in listed:
            created = self._admission.registry.created_at(time.time())
            self._admission.admit_listed(ServiceRequest(Origin.API, created, parameters))

    async def _asked(self, session: aiohttp.ClientSession, address: str) -> str | None:
        """Ask one listener to send its services again; return the reason if that fails."""
        try:
            await self._ask(session, address, "notify-services")
        except ListenerFailed as error:
            return str(error)
        return None

    @staticmethod
    async def _ask(session: aiohttp.ClientSession, address: str, call: str) -> object:
        base = address if "://" in address else f"http://{address}"
        if ":" not in base.partition("://")[2]:
            base += f":{_PORT}"
        try:
            async with asyncio.timeout(_CALL_SECONDS), session.get(f"{base}{_PATH}{call}") as answer:
                if answer.status != 200:
                    raise ListenerFailed(f"{address}: it answered {answer.status}")
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ListenerFailed(f"{address}: {str(error) or type(error).__name__}") from None


def _is_flat(item: object) -> bool:
    return isinstance(item, dict) and all(isinstance(value, str) for value in item.values())
