"""The docker SDK, in threads and with deadlines: calls, and the stream of events (Docker API: ServiceList, TaskList,
NodeList, NetworkList, SystemEvents)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import docker
import requests
import structlog
from docker.errors import APIError, DockerException, NotFound
from docker.types.daemon import CancellableStream
from docker.utils import kwargs_from_env

from flowproxy.errors import SwarmUnavailable
from flowproxy.sources.own_networks import Network
from flowproxy.sources.swarm.events import Events
from flowproxy.sources.swarm.listing import (
    SwarmService,
    Task,
    as_service,
    as_task,
    names_of_networks,
    understood,
    unreachable_nodes,
)

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_SILENCE_SECONDS = 10  # in one answer, after which the call has failed
_CALL_SECONDS = 60.0  # of one call altogether
_STREAM_SECONDS = 900  # of silence, after which the stream of events is opened anew
_THREADS = 4
_OLD_VERSION = "1.41"
_SPOKEN_VERSION = re.compile(r"(?:Minimum|Maximum) supported API version is ([0-9.]+[0-9])")
_FORBIDDEN = (401, 403, 405)
_BY_NAME = 100  # services at most that one call names, to limit the length of its URL; more need a whole listing


class Forbidden(SwarmUnavailable):
    """The daemon, or a proxy before it, does not allow the call."""


class SwarmClient:
    """One connection to a daemon. Every call raises SwarmUnavailable when the daemon does not answer as it should."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` holds the variables of the docker SDK, such as DOCKER_HOST."""
        self._environment = dict(environment)
        self._sdk: docker.APIClient | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="swarm")

    @property
    def is_connected(self) -> bool:
        """Return whether there was a connection, which may be broken by now."""
        return self._sdk is not None

    async def connect(self) -> None:
        """Connect anew, with threads of its own: those of the last connection may hang."""
        self.close()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="swarm")
        self._sdk = await self._call(lambda _: open_sdk(self._environment, _SILENCE_SECONDS))

    def close(self) -> None:
        """Leave the connection. Nothing waits for calls that hang."""
        if self._sdk:
            self._sdk.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def services_and_tasks(
        self, identities: set[str] | None
    ) -> tuple[list[SwarmService], Sequence[Mapping[str, Any]]]:
        """Return the services with these ids, or all of them, and their tasks, asked for at the same time so that one
        round sees both."""
        try:
            async with asyncio.TaskGroup() as calls:
                services = calls.create_task(self.services(identities))
                tasks = calls.create_task(self.tasks(identities))
        except* SwarmUnavailable as errors:
            raise errors.exceptions[0] from None
        return services.result(), tasks.result()

    async def services(self, identities: Collection[str] | None) -> list[SwarmService]:
        """Return the services with these ids, or all of them; of many ids, all of them too."""
        raw = await self._call(lambda sdk: sdk.services(filters=_filters("id", identities), status=True))
        return understood(lambda listed: [as_service(item) for item in listed], raw)

    async def tasks(self, identities: Collection[str] | None) -> Sequence[Mapping[str, Any]]:
        """Return the tasks of these services, or of all, as the daemon lists them.

        Docker answers 404 to a filter with a service that was removed; then the tasks of those that are left are asked
        for.
        """
        try:
            return await self._call(lambda sdk: sdk.tasks(filters=_filters("service", identities)))
        except SwarmUnavailable as error:
            if identities is None or not isinstance(error.__cause__, NotFound):
                raise
            left = {service.id for service in await self.services(identities)} & set(identities)
            if len(left) == len(identities):
                raise
        return await self.tasks(left) if left else ()

    async def wanted_tasks(self) -> list[Task]:
        """Return the tasks that should run, of all services, without names."""
        raw = await self._call(lambda sdk: sdk.tasks(filters={"desired-state": "running"}))
        return understood(lambda listed: [as_task(item, "") for item in listed], raw)

    async def networks(self) -> dict[Network, str]:
        """Return the names of the networks that a service can be put on, by their subnets."""
        return understood(names_of_networks, await self._call(lambda sdk: sdk.networks()))

    async def unreachable_nodes(self, role: str | None = None) -> frozenset[str]:
        """Return the ids of the nodes, or of those with a role, that are out of contact. Raises Forbidden."""
        filters = {"role": role} if role else {}
        return understood(unreachable_nodes, await self._call(lambda sdk: sdk.nodes(filters=filters)))

    @asynccontextmanager
    async def events(self, events: Events) -> AsyncIterator[None]:
        """Collect the events of services and nodes while the block runs."""
        listener = await self._call(lambda _: open_sdk(self._environment, _STREAM_SECONDS))
        stream = await self._call(lambda _: listener.events(filters={"type": ["service", "node"]}, decode=True))
        loop = asyncio.get_running_loop()
        reader = loop.run_in_executor(self._threads, _read, stream, events, loop)
        try:
            yield
        finally:
            await asyncio.to_thread(_close, stream, listener)
            await reader

    async def _call(self, act: Callable[[Any], T]) -> T:
        """Make one call of the SDK in a thread."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CALL_SECONDS) as deadline:
                return await loop.run_in_executor(self._threads, act, self._sdk)
        except APIError as error:
            kind = Forbidden if error.status_code in _FORBIDDEN else SwarmUnavailable
            raise kind(_first_line(error)) from error
        except (DockerException, requests.RequestException, OSError, ValueError, KeyError) as error:
            late = f"no whole answer within {_CALL_SECONDS:.0f} s" if deadline.expired() else ""
            raise SwarmUnavailable(late or _first_line(error)) from error


def open_sdk(environment: Mapping[str, str], silence_s: int) -> docker.APIClient:
    """Return a client of the daemon that the environment names. Blocks; raises the errors of the SDK.

    The version of the API is the daemon's; where a proxy in between does not let us ask, an old one that the daemon
    still speaks.
    """
    given: dict[str, Any] = {**kwargs_from_env(environment=environment), "timeout": silence_s}
    if version := environment.get("DOCKER_API_VERSION"):
        return docker.APIClient(**given, version=version)
    try:
        return docker.APIClient(**given, version="auto")
    except DockerException as error:
        if not isinstance(error.__cause__, APIError) or error.__cause__.status_code not in _FORBIDDEN:
            raise
    client = docker.APIClient(**given, version=_OLD_VERSION)
    try:
        client.networks()
    except APIError as error:
        spoken = _SPOKEN_VERSION.search(str(error))
        if spoken is None:
            raise
        client.close()
        client = docker.APIClient(**given, version=spoken[1])
    return client


def _read(stream: CancellableStream[Mapping[str, Any]], events: Events, loop: asyncio.AbstractEventLoop) -> None:
    """In a thread, until the stream is closed or breaks. `events` is touched by the loop alone."""
    try:
        for event in stream:
            _in_loop(loop, events.hear, str(event.get("Type")), str(event.get("Actor", {}).get("ID", "")))
    except (requests.RequestException, DockerException, OSError, ValueError, AttributeError) as error:
        _log.debug("event stream interrupted", reason=_first_line(error))
    finally:
        _in_loop(loop, events.end)


def _in_loop(loop: asyncio.AbstractEventLoop, act: Callable[..., None], *arguments: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(act, *arguments)


def _close(stream: CancellableStream[Mapping[str, Any]], listener: docker.APIClient) -> None:
    stream.close()
    listener.close()


def _filters(kind: str, identities: Collection[str] | None) -> dict[str, list[str]]:
    """Few are asked for by name, many come with the whole listing."""
    return {kind: sorted(identities)} if identities is not None and len(identities) <= _BY_NAME else {}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
