"""One Docker daemon to the registry: list, listen, list again.

An event only says which service moved; what is true is asked for. Swarm sends no events for tasks, so the tasks
of a service are listed quickly while it changes and slowly otherwise (Docker API: ServiceList, TaskList,
SystemEvents).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import docker
import psutil
import requests
import structlog
from docker.errors import APIError, DockerException, NotFound
from docker.types.daemon import CancellableStream
from docker.utils import kwargs_from_env

from flowproxy.errors import InvalidService, SwarmUnavailable
from flowproxy.services.admission import Deprecations
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.settings import Settings
from flowproxy.sources.listing import (
    Interface,
    Network,
    SwarmService,
    Task,
    as_service,
    as_task,
    names_of,
    names_of_networks,
    parameters_of,
    public_name,
    serving,
    shared,
    unreachable_nodes,
    virtual_endpoint,
)

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_API_SECONDS = 10
_STREAM_SECONDS = 900  # of silence, after which the stream of events is opened anew
_QUICKEST, _QUICK, _SLOW = 0.04, 0.2, 2.0  # seconds between two listings of tasks
_CALMING = 20  # the quickest for a second after a change was seen, then less and less
_QUICK_FOR = 60.0  # after the last change that was seen; what hangs longer is asked for slowly
_SETTLING = 5.0  # an event comes before the tasks that it leads to
_QUICK_SHARE, _SLOW_SHARE = 0.3, 0.05  # the part of the time that listings of tasks may take
_DOUBT_FOR, _DOUBT_EVERY = 30.0, 5.0  # of a listing that is empty all at once
_OLD_VERSION = "1.41"
_SPOKEN_VERSION = re.compile(r"(?:Minimum|Maximum) supported API version is ([0-9.]+[0-9])")
_BY_NAME = 100  # services at most that a call names, lest its URL grow too long; more come with the whole listing
_STORM = 20  # more events than these are a storm
_GATHER = 0.5  # seconds between two listings in a storm, because each may come to a reload
_FRESH_FOR = 5.0  # without an answer, after which what is known counts as old
_BACKOFF = (0.2, 0.5, 1.0, 2.0, 3.0)


class SwarmStatus(NamedTuple):
    """The part of `/v1/status` about the Swarm; times are seconds since 1970. `last_answer` is when tasks were listed
    last, be it those of a few services."""

    connected: bool = False
    last_event: float | None = None
    last_listing: float | None = None
    error: str | None = None
    last_answer: float | None = None

    def warning(self, confirmed: float | None, now: float) -> str | None:
        """Return how old what is known of a Swarm is that is out of reach; None while it is fresh, or none is watched.

        Args:
            confirmed: when an earlier controller listed what this one began with.
            now: seconds since 1970.
        """
        if self.connected or self.error is None:
            return None
        known = max(filter(None, (self.last_answer, confirmed)), default=None)
        if known is None:
            return "the Swarm has not been reached since the start; where its tasks are is not known"
        age = now - known
        if age < _FRESH_FOR:
            return None
        return f"the Swarm has not been reached for {age:.0f} s; what is served is as it was then"


class Swarm:
    """Watches one daemon, a Swarm manager, and keeps the registry's Swarm services and their tasks."""

    def __init__(
        self, registry: Registry, settings: Settings, environment: Mapping[str, str], deprecations: Deprecations
    ) -> None:
        self._deprecations = deprecations
        self._registry = registry
        self._settings = settings
        self._environment = dict(environment)
        self._client: docker.APIClient | None = None
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="swarm")
        self._services: dict[str, SwarmService] = {}
        self._names: dict[str, str] = {}
        self._network_names: dict[Network, str] = {}
        self._tasks: dict[str, tuple[Task, ...]] = {}
        self._changed_at: dict[str, float] = {}
        self._changing: set[str] = set()
        self._cost_of_few = self._cost_of_all = 0.0  # seconds that the last listing of tasks took
        self._moved: set[str] = set()
        self._unreachable: frozenset[str] = frozenset()  # ids of nodes
        self._node_moved = False
        self._may_list_nodes = True
        self._awake = asyncio.Event()
        self._stream_ended = False
        self._empty_since: float | None = None
        self._heard_at = 0.0
        self.status = SwarmStatus()
        self.looked = asyncio.Event()  # it has been listed once

    async def run(self) -> NoReturn:
        """Never ends: whatever goes wrong with the daemon is tried again, first soon and then less often."""
        failures = 0
        while True:
            try:
                await self._watch()
                failures = 0
            except SwarmUnavailable as error:
                if self.status.error is None:
                    _log.warning("swarm is out of reach; what is known stays", reason=str(error))
                self.status = self.status._replace(connected=False, error=str(error))
                failures += 1
            await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])

    def close(self) -> None:
        if self._client:
            self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def replicas(self) -> frozenset[str] | None:
        """The addresses of our own service's tasks, which is the one that has an address of ours; None where Docker
        does not answer or we are no service."""
        if self._client is None:
            return None
        try:
            raw = await self._call(lambda client: client.tasks(filters={"desired-state": "running"}))
            tasks = _understood(lambda listed: [as_task(item, "") for item in listed], raw)
        except SwarmUnavailable:
            return None
        own = {str(interface.ip) for interface in own_interfaces()}
        ours = {task.service_id for task in tasks if own & task.plain_addresses}
        addresses = [task.plain_addresses for task in tasks if task.service_id in ours]
        return frozenset().union(*addresses) if addresses else None

    # One connection

    async def _watch(self) -> None:
        """Returns when the stream of events has ended, which is how the SDK tells that the connection broke."""
        self._client = await self._call(lambda _: self._connect(_API_SECONDS))
        listener = await self._call(lambda _: self._connect(_STREAM_SECONDS))
        self._moved.clear()
        self._empty_since = None
        self._stream_ended = False
        stream = await self._call(lambda _: listener.events(filters={"type": ["service", "node"]}, decode=True))
        loop = asyncio.get_running_loop()
        reader = loop.run_in_executor(self._threads, self._read, stream, loop)
        try:
            await self._list_everything()
            await self._follow()
        finally:
            await asyncio.to_thread(_close, stream, listener)
            await reader

    def _connect(self, seconds: int) -> docker.APIClient:
        """The version of the API is the daemon's; where a proxy in between does not let us ask, an old one that the
        daemon still speaks."""
        given: dict[str, Any] = {**kwargs_from_env(environment=self._environment), "timeout": seconds}
        if version := self._environment.get("DOCKER_API_VERSION"):
            return docker.APIClient(**given, version=version)
        try:
            return docker.APIClient(**given, version="auto")
        except DockerException as error:
            if not isinstance(error.__cause__, APIError) or error.__cause__.status_code not in (401, 403, 405):
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

    def _read(self, stream: CancellableStream[Mapping[str, Any]], loop: asyncio.AbstractEventLoop) -> None:
        """In a thread, until the stream is closed or breaks."""
        try:
            for event in stream:
                _threadsafe(loop, self._heard, str(event.get("Type")), str(event.get("Actor", {}).get("ID", "")))
        except (requests.RequestException, DockerException, OSError, ValueError, AttributeError) as error:
            _log.debug("stream of events broke", reason=_first_line(error))
        finally:
            _threadsafe(loop, self._ended)

    def _heard(self, kind: str, identity: str) -> None:
        self.status = self.status._replace(last_event=time.time())
        self._heard_at = time.monotonic()
        if kind == "service":
            self._moved.add(identity)
        else:  # a node came or went: any service may have moved
            self._node_moved = True
            self._moved.update(self._services)
        self._awake.set()

    def _ended(self) -> None:
        self._stream_ended = True
        self._awake.set()

    async def _follow(self) -> None:
        listed = polled = rested = time.monotonic()
        while not self._stream_ended:
            slowly = max(_SLOW, self._cost_of_all / _SLOW_SHARE)
            await self._sleep(self._pause() if self._quick() else slowly)
            if self._moved:  # a storm of events is a few listings
                await asyncio.sleep(max(rested - time.monotonic(), 0))
            now = time.monotonic()
            if now - listed > (_DOUBT_EVERY if self._empty_since else self._settings.resync_interval):
                before = self._services
                await self._list_everything()
                if self._was_not_told(before, now):
                    _log.warning("events were missed; the stream of events is opened anew")
                    return
                listed = polled = time.monotonic()
                continue
            if self._node_moved:
                await self._list_nodes()
            moved, self._moved = self._moved, set()
            if moved:
                await self._list_moved(moved)
                cost = time.monotonic() - now
                rested = now + cost + max(cost / _QUICK_SHARE, _GATHER if len(moved) > _STORM else 0)
            began = time.monotonic()
            if began - polled > slowly:
                await self._list_tasks(self._services.keys())
                polled = time.monotonic()
                self._cost_of_all = polled - began
            else:
                await self._list_tasks(self._quick() - moved)
                self._cost_of_few = time.monotonic() - began

    def _was_not_told(self, before: Mapping[str, SwarmService], at: float) -> bool:
        """Whether a listing shows what an event should have told long ago: the stream is there but silent."""
        after = self._services
        changed = before.keys() != after.keys() or any(not service.asks_as(after[i]) for i, service in before.items())
        return changed and not self._moved and at - self._heard_at > _SETTLING

    def _quick(self) -> set[str]:
        """The services whose tasks are on the move."""
        now = time.monotonic()
        patience = {identity: _QUICK_FOR if identity in self._changing else _SETTLING for identity in self._changed_at}
        self._changed_at = {i: at for i, at in self._changed_at.items() if now - at < patience[i]}
        return set(self._changed_at)

    def _pause(self) -> float:
        """Seconds until the tasks on the move are listed again."""
        calm = time.monotonic() - max(self._changed_at.values())
        return max(_QUICKEST, min(calm / _CALMING, _QUICK), self._cost_of_few / _QUICK_SHARE)

    async def _sleep(self, seconds: float) -> None:
        """Until an event comes, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
        self._awake.clear()

    # Listings

    async def _list_everything(self) -> None:
        await self._list_nodes()
        services, tasks = await self._fetch(None)
        networks = await self._call(lambda client: client.networks())
        self._network_names = _understood(names_of_networks, networks)
        if not services and not self._is_really_empty():
            return
        self._services = {service.id: service for service in services}
        self._names = names_of(services, self._settings.label_prefix)
        self._register(services)
        routed = {self._name(service) for service in services if self._is_wanted(service)}
        self._registry.retain(Origin.SWARM, routed)
        self._place_all(tasks, self._services.keys())
        for name in self._registry.snapshot().tasks.keys() - self._placed():
            self._registry.place(name, None)
        if not self.status.connected:
            _log.info("swarm is watched", services=len(services), routed=len(routed))
        listed = time.time()
        self._registry.confirm(listed)
        self.status = self.status._replace(connected=True, last_listing=listed, last_answer=listed, error=None)
        self.looked.set()

    def _placed(self) -> set[str]:
        """The names that a listing of everything has just placed: those of services that some route sends to."""
        return {self._name(service) for service in self._services.values()} & self._registry.hosts

    def _is_really_empty(self) -> bool:
        """A listing without any service, though some are known, may come from a daemon that has just started. It is
        believed when the same connection has said so for a while; events that services were removed are at once."""
        if not any(entry.origin == Origin.SWARM for entry in self._registry.snapshot().entries.values()):
            return True
        now = time.monotonic()
        if self._empty_since is None:
            self._empty_since = now
            _log.warning("the swarm lists no service at all; what is known stays", seconds=_DOUBT_FOR)
        if now - self._empty_since < _DOUBT_FOR:
            return False
        self._empty_since = None
        return True

    async def _list_nodes(self) -> None:
        """A socket proxy may forbid it; then only HAProxy's checks find the tasks of a dead node."""
        self._node_moved = False
        try:
            listed = await self._call(lambda client: client.nodes())
        except SwarmUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, APIError) or cause.status_code not in (401, 403, 405):
                raise
            if self._may_list_nodes:
                _log.warning("nodes cannot be listed; tasks of a dead node stay until checks fail", reason=str(error))
            self._may_list_nodes = False
            self._unreachable = frozenset()
            return
        self._may_list_nodes = True
        unreachable = _understood(unreachable_nodes, listed)
        if unreachable != self._unreachable:
            _log.info("nodes out of contact", nodes=sorted(unreachable))
        self._unreachable = unreachable

    async def _list_moved(self, moved: set[str]) -> None:
        services, tasks = await self._fetch(moved)
        found = {service.id: service for service in services if service.id in moved}
        before = self._names
        staying = {identity: service for identity, service in self._services.items() if identity not in moved}
        self._services = staying | found
        self._names = names_of(self._services.values(), self._settings.label_prefix)
        for identity, name in before.items():
            if self._names.get(identity) != name:
                self._forget(name)
                self._registry.place(name, None)
        self._changed_at |= dict.fromkeys(found, time.monotonic())
        renamed = [staying[i] for i, name in self._names.items() if i in staying and before.get(i) != name]
        self._register([*renamed, *found.values()])
        self._place_all(tasks, found.keys())
        for service in renamed:
            self._place(service, self._tasks.get(service.id, ()), own_networks())

    async def _list_tasks(self, identities: Collection[str]) -> None:
        wanted = self._registry.hosts
        asked = {i for i in identities if i in self._services and self._name(self._services[i]) in wanted}
        if asked:
            self._place_all(await self._tasks_of(asked), asked)

    async def _fetch(self, identities: set[str] | None) -> tuple[list[SwarmService], Sequence[Mapping[str, Any]]]:
        """The services and their tasks, or all of them, asked for together so that one round sees both."""
        try:
            async with asyncio.TaskGroup() as calls:
                services = calls.create_task(self._services_of(identities))
                tasks = calls.create_task(self._tasks_of(identities))
        except* SwarmUnavailable as errors:
            raise errors.exceptions[0] from None
        return services.result(), tasks.result()

    async def _services_of(self, identities: Collection[str] | None) -> list[SwarmService]:
        raw = await self._call(lambda client: client.services(filters=_filters("id", identities), status=True))
        return _understood(lambda listed: [as_service(item) for item in listed], raw)

    async def _tasks_of(self, identities: Collection[str] | None) -> Sequence[Mapping[str, Any]]:
        """Docker answers 404 to a filter with a service that is gone; then the tasks of those that are left are asked
        for."""
        try:
            return await self._call(lambda client: client.tasks(filters=_filters("service", identities)))
        except SwarmUnavailable as error:
            if identities is None or not isinstance(error.__cause__, NotFound):
                raise
            left = {service.id for service in await self._services_of(identities)} & set(identities)
            if len(left) == len(identities):
                raise
        return await self._tasks_of(left) if left else ()

    def _place_all(self, raw: Sequence[Mapping[str, Any]], identities: Collection[str]) -> None:
        """Of services that some route sends to; one that only the API knows by its name is placed too."""
        wanted = self._registry.hosts
        networks = own_networks()
        self.status = self.status._replace(last_answer=time.time())
        by_service: dict[str, list[Task]] = {i: [] for i in identities if self._name(self._services[i]) in wanted}
        asked = [item for item in _understood(list, raw) if _understood(_service_of, item) in by_service]
        for item in asked:
            service = self._services[item["ServiceID"]]
            by_service[service.id].append(_understood(partial(as_task, service_name=service.name), item))
        for identity, tasks in by_service.items():
            self._place(self._services[identity], tuple(sorted(tasks)), networks)

    # Registry

    def _is_wanted(self, service: SwarmService) -> bool:
        asked = service.labels.get(f"{self._settings.label_prefix}notify", "").lower() == "true"
        return asked and not service.is_job and (service.is_global or service.replicas > 0)

    def _name(self, service: SwarmService) -> str:
        return self._names[service.id]

    def _register(self, services: Iterable[SwarmService]) -> None:
        for service in services:
            name = self._name(service)
            if not self._is_wanted(service):
                self._forget(name)
                continue
            parameters = parameters_of(service, name, self._settings.label_prefix)
            known = self._registry.get(name)
            present = (Origin.SWARM, service.created, parameters, service.stack)
            if known and known[1:5] == present and not self._registry.refusal(name):
                continue
            self._deprecations.tell(parameters)
            try:
                asked = parse(parameters, self._settings.defaults)
            except InvalidService as error:
                if self._registry.refusal(name) != str(error):
                    _log.warning("service refused", service=name, reason=str(error))
                self._registry.refuse(name, str(error))
                continue
            if not self._settings.takes(asked):
                self._forget(name)
                continue
            for warning in asked.warnings if known is None or known.service != asked else ():
                _log.warning("label has no effect", service=name, warning=warning)
            self._registry.put(Entry(asked, Origin.SWARM, service.created, parameters, service.stack))
            if remark := self._without_short_name(service):
                self._remark(service, remark)

    def _forget(self, name: str) -> None:
        self._registry.remark(name, None)
        present = self._registry.get(name)
        if present is None or present.origin == Origin.SWARM:
            self._registry.remove(name, Origin.SWARM)

    def _place(self, service: SwarmService, tasks: tuple[Task, ...], networks: frozenset[Network]) -> None:
        if tasks != self._tasks.get(service.id):
            self._changed_at[service.id] = time.monotonic()
            self._tasks[service.id] = tasks
        if service.updating or any(task.changing for task in tasks):
            self._changing.add(service.id)
        else:
            self._changing.discard(service.id)
        running = serving(tasks, self._unreachable)
        endpoints = [endpoint for task in running if (endpoint := shared(task, networks))]
        asked = self._registry.get(self._name(service))
        if endpoints and asked and asked.service.wants_virtual_ip:
            virtual = virtual_endpoint(service, tasks, networks)
            endpoints = [virtual] if virtual else endpoints
        self._registry.place(self._name(service), endpoints)
        cut_off = bool(running) and not endpoints
        remark = self._without_network(networks) if cut_off else self._without_short_name(service)
        self._remark(service, remark)

    def _remark(self, service: SwarmService, text: str | None) -> None:
        if self._registry.remark(self._name(service), text) and text:
            _log.warning("service is not as it should be", service=service.name, reason=text)

    def _without_short_name(self, service: SwarmService) -> str | None:
        asked = public_name(service, self._settings.label_prefix)
        if asked == self._name(service):
            return None
        return f"the short name {asked} is another service's, so that its name here is {service.name}"

    def _without_network(self, networks: frozenset[Network]) -> str:
        names = sorted(name for subnet, name in self._network_names.items() if subnet in networks)
        return f"it is on no network of the proxy; add {' or '.join(names) or 'one that the proxy is on'} to it"

    async def _call(self, act: Callable[[Any], T]) -> T:
        """One call of the SDK, in a thread. Raises SwarmUnavailable whatever is wrong with the daemon or its answer."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, act, self._client)
        except (DockerException, requests.RequestException, OSError, ValueError, KeyError) as error:
            raise SwarmUnavailable(_first_line(error)) from error


def own_networks() -> frozenset[Network]:
    """The networks that this machine or container has an address on."""
    return frozenset(interface.network for interface in own_interfaces())


def own_interfaces() -> list[Interface]:
    """The addresses of this machine or container, with their networks; those of the last time when the system does not
    say, for want of a file descriptor."""
    with contextlib.suppress(OSError):
        _last_interfaces[:] = _read_interfaces()
    return list(_last_interfaces)


_last_interfaces: list[Interface] = []


def _read_interfaces() -> list[Interface]:
    interfaces = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            with contextlib.suppress(ValueError):  # a hardware address, or an IPv6 one with its zone
                interfaces.append(ipaddress.ip_interface(f"{address.address}/{address.netmask}"))
    return interfaces


def is_expected(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether there is a Swarm to watch: the setting, or signs of Docker."""
    if settings.swarm != "auto":
        return settings.swarm == "on"
    return bool(environment.get("DOCKER_HOST")) or Path("/var/run/docker.sock").exists()


def _filters(kind: str, identities: Collection[str] | None) -> dict[str, list[str]]:
    """Few are asked for by name, many come with the whole listing."""
    return {kind: sorted(identities)} if identities is not None and len(identities) <= _BY_NAME else {}


def _understood(read: Callable[[Any], T], answer: object) -> T:
    """Raises SwarmUnavailable for an answer that is JSON but not what the Docker API says."""
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SwarmUnavailable(f"an answer of the daemon is not understood: {error!r}") from error


def _service_of(task: Mapping[str, Any]) -> Any:
    return task.get("ServiceID")


def _close(stream: CancellableStream[Mapping[str, Any]], listener: docker.APIClient) -> None:
    stream.close()
    listener.close()


def _threadsafe(loop: asyncio.AbstractEventLoop, act: Callable[..., None], *arguments: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(act, *arguments)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
