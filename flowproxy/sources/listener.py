"""Docker Flow Swarm Listeners of old (LISTENER_ADDRESS): their services fetched, and they asked to tell them again."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import structlog

from flowproxy.errors import InvalidService, ListenerFailed, OwnedElsewhere
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.settings import Settings

_log = structlog.get_logger(__name__)

_CALL_SECONDS = 10
_PORT = 8080
_PATH = "/v1/docker-flow-swarm-listener/"


class Informants:
    """The listeners of the setting. What they tell counts as put by API, as when they call."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self.addresses = settings.listener_address
        self.heard = not self.addresses  # at least one has answered

    async def run(self) -> None:
        """Asks each until it has answered. Of several none is asked for ever; the only one may be asked again and
        again (RELOAD_ATTEMPTS, REPEAT_RELOAD)."""
        async with asyncio.TaskGroup() as fetches:
            for address in self.addresses:
                fetches.create_task(self._follow(address))

    async def notify(self) -> None:
        """Asks all of them to send their services again. Raises ListenerFailed with each that did not answer."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as calls:
            asked = [calls.create_task(self._asked(session, address)) for address in self.addresses]
        failures = [failure for task in asked if (failure := task.result())]
        if failures:
            raise ListenerFailed("; ".join(failures))

    async def _follow(self, address: str) -> None:
        attempts = 0
        told = False
        while len(self.addresses) == 1 or attempts < self._settings.reload_attempts:
            attempts += 1
            try:
                await self._fetch(address)
                self.heard = True
                if len(self.addresses) > 1 or not self._settings.repeat_reload:
                    return
            except ListenerFailed as error:
                if not told:
                    _log.warning("listener does not answer", reason=str(error))
                told = True
            await asyncio.sleep(self._settings.reload_interval / 1000)

    async def _fetch(self, address: str) -> None:
        async with aiohttp.ClientSession() as session:
            listed = await self._ask(session, address, "get-services")
        if not isinstance(listed, list) or not all(_is_flat(item) for item in listed):
            raise ListenerFailed(f"{address}: its answer is not a list of services with text for each parameter")
        for parameters in listed:
            self._register(parameters)
        _log.info("services fetched", listener=address, services=len(listed))

    def _register(self, parameters: dict[str, str]) -> None:
        try:
            service = parse(parameters, self._settings.defaults)
            if service.replicas != 0 and self._settings.takes(service):
                self._registry.put(Entry(service, Origin.API, self._registry.created_at(time.time()), parameters))
        except (InvalidService, OwnedElsewhere) as error:
            _log.warning("service of a listener is not used", reason=str(error))

    async def _asked(self, session: aiohttp.ClientSession, address: str) -> str | None:
        """Why it did not do it."""
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
