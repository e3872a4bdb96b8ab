"""Builds the objects, wires them, runs them, stops them in order. Nothing else constructs anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import resource
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

import structlog
from aiohttp import web

from flowproxy.api.access import (
    HEADER_BYTES,
    IDLE_SECONDS,
    LINE_BYTES,
    LINGERING_SECONDS,
    UNGUARDED,
    Access,
    tls_of,
    with_short_paths,
)
from flowproxy.api.connections import Connections, Listener
from flowproxy.api.handlers import Api
from flowproxy.background import Background
from flowproxy.certificates.checks import CertificateChecks
from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas
from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.errors import InvalidService, InvalidSettings, OwnedElsewhere, ProxyUnavailable
from flowproxy.haproxy.proxy import Proxy, has_exporter, has_match_limits
from flowproxy.logs import LoopFailures
from flowproxy.rendering.configuration import Renderer
from flowproxy.routing.overlaps import Overlaps
from flowproxy.routing.ownership import HostOwners
from flowproxy.routing.table import compile_routes
from flowproxy.services.admission import Deprecations
from flowproxy.services.certificate import Certificate
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry
from flowproxy.services.store import Known, Store
from flowproxy.settings import Settings, misspelt, read_user_secrets, secrets_folder
from flowproxy.sources.demo import start_demo
from flowproxy.sources.environment import nearest_variable, services, unguarded
from flowproxy.sources.host_names import Names
from flowproxy.sources.listener import Informants
from flowproxy.sources.swarm import Swarm, SwarmStatus, is_expected

_log = structlog.get_logger(__name__)


_FIRST_LISTING_SECONDS = 2
_FIRST_NAMES_SECONDS = 5
_FIRST_COMPARISON_SECONDS = 3
_FEWEST_CONNECTIONS = 50
_CANCEL_SECONDS = 0.3  # for what was cancelled; what does not end by then is left behind
_CAP_SYS_CHROOT = 18  # capabilities(7), linux/capability.h


async def serve(settings: Settings, environment: Mapping[str, str], *, demo: bool = False) -> None:
    """Runs until SIGTERM or SIGINT, then drains. Raises ProxyUnavailable when it cannot start."""
    asyncio.get_running_loop().set_exception_handler(LoopFailures())
    of_environment = _of_environment(settings, environment)
    stop = _signalled()
    background = Background()
    proxy = Proxy(settings)
    store = Store(
        proxy.folder,
        {
            Origin.SWARM: settings.defaults,
            Origin.ENVIRONMENT: settings.defaults_for_environment,
            Origin.API: settings.defaults,
        },
    )
    registry = Registry()
    renderer = Renderer(
        settings,
        exporter=await has_exporter(settings.haproxy),
        match_limits=await has_match_limits(settings.haproxy),
        run_user=_unprivileged_user(),
        chroot=_empty_folder(settings.state_dir) if _may_chroot() else None,
        secrets=read_user_secrets(),
        service_connections=_quarter_of_connections(),
    )
    judge = renderer if settings.uses_certificates else Renderer(settings.with_certificates)
    checks = CertificateChecks(partial(_check_certificates, judge, proxy))
    reconciler = Reconciler(
        registry,
        renderer,
        proxy,
        store,
        checks,
        tidy_after=settings.tidy_after,
        overlaps=Overlaps(settings.traffic_ports),
        owners=HostOwners() if settings.hosts == "stack" else None,
    )
    drift_watch = DriftWatch(reconciler, proxy, settings.resync_interval)
    names = Names(registry)
    deprecations = Deprecations()
    swarm = Swarm(registry, settings, environment, deprecations) if is_expected(settings, environment) else None
    keyring = Keyring(settings.certs, secrets_folder(), registry, checks, proxy.folder / "certificates.json")
    replicas = Replicas(settings, names, swarm.replicas if swarm else _unknown)
    exchange = Exchange(settings, registry, keyring, replicas)
    informants = Informants(settings, registry)
    api = Api(
        settings,
        registry,
        reconciler,
        proxy,
        names,
        keyring,
        replicas,
        exchange,
        informants,
        deprecations,
        Access(settings),
        lambda: swarm.status if swarm else SwarmStatus(),
        background.failures,
        drift_watch,
    )

    async def work() -> None:
        adopted = await proxy.attach()
        if not adopted and swarm is None:
            await proxy.start_as_before()
        if settings.api_token is None:
            _log.warning("the API is open", reason=UNGUARDED)
        saved = _remember(store, registry, None if adopted else settings.stale_after, with_swarm=swarm is not None)
        registry.retain(Origin.ENVIRONMENT, ())
        for entry in of_environment:
            registry.put(entry)
        if demo:
            await _register_demo(stack, registry)

        def wake() -> None:
            reconciler.wake()
            names.wake()

        registry.on_change = wake
        await keyring.look()
        if swarm:
            await asyncio.sleep(settings.dns_lookup_pause_ms / 1000)
            await replicas.ask_for_certificates({kept.name for kept in keyring.kept()})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_COMPARISON_SECONDS):
                    await background.keep("replicas", exchange.compare)
        registry.touch()
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "names": partial(_look_names_up, names, swarm),
            "certificates": keyring.run,
            "listeners": informants.run,
            "reconciler": partial(_reconcile, reconciler, names, swarm),
            "fallback": partial(_fall_back, reconciler, proxy, registry, saved),
            "drift": drift_watch.run,
            "replicas": exchange.run,
            "haproxy": partial(proxy.watch, reconciler.forget_running),
            "announcement": partial(_announce, reconciler, registry, settings, adopted=adopted, demo=demo),
        }
        if swarm:
            loops["swarm"] = swarm.run
            loops["confirmations"] = partial(_confirm, store, registry, settings.stale_after / 10)
        async with asyncio.TaskGroup() as tasks:
            for name, run in loops.items():
                tasks.create_task(background.keep(name, run), name=name)

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(proxy.close)
        stack.callback(names.close)
        if swarm:
            stack.callback(swarm.close)
        listener, runner = await _listen(stack, api, settings)
        # A group would wait for ever for what does not end when it is cancelled.
        working = asyncio.create_task(work(), name="work")  # noqa: TID251 - _stop waits for it, with a deadline
        await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            await _leave(settings.shutdown_delay, registry, working)
            await _stop(settings.drain_timeout, working, proxy, listener)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await runner.cleanup()
        if not stop.done():
            working.result()


async def _leave(seconds: float, registry: Registry, working: asyncio.Task[None]) -> None:
    """Says for these seconds that the node is about to stop, while everything goes on."""
    registry.stop()
    if seconds:
        _log.info("leaving", delay_seconds=seconds)
        await asyncio.wait({working}, timeout=seconds)


async def _stop(seconds: float, working: asyncio.Task[None], proxy: Proxy, listener: Listener) -> None:
    """Ends everything within these seconds and one more, whatever hangs or fails."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    _log.info("stopping", drain_seconds=seconds)
    listener.stop()
    await proxy.hold(within=seconds / 2)
    working.cancel()
    await asyncio.wait({working}, timeout=_CANCEL_SECONDS)
    await proxy.stop(within=max(deadline - loop.time(), 0))


async def _check_certificates(renderer: Renderer, proxy: Proxy, certificates: Sequence[Certificate]) -> None:
    """Has HAProxy look at these certificates without any service. Raises Rejected."""
    await proxy.check(renderer.apart().render(compile_routes(()), {}, certificates))


def _remember(store: Store, registry: Registry, stale_after: float | None, *, with_swarm: bool) -> Known:
    """Begins with what was known when the last controller ended; returns the endpoints that were saved.

    Args:
        stale_after: seconds after which endpoints of a Swarm are left out; None where HAProxy serves them already.
    """
    for entry in store.load():
        if with_swarm or entry.origin != Origin.SWARM:
            registry.put(entry)
    for name, at in store.load_removed().items():
        registry.note_removal(name, at)
    known = store.load_endpoints()
    if with_swarm and stale_after is not None and known.is_stale(time.time(), stale_after):
        if known.tasks or known.addresses:
            reason = f"they were not confirmed in the last {stale_after:.0f} s (FLOWPROXY_STALE_AFTER)"
            _log.warning("saved endpoints are not used", reason=reason)
        return known
    registry.confirm(known.confirmed)
    for host, endpoints in known.addresses.items():
        registry.resolve(host, endpoints)
    for name, endpoints in known.tasks.items() if with_swarm else ():
        registry.place(name, endpoints)
    return known


async def _fall_back(reconciler: Reconciler, proxy: Proxy, registry: Registry, saved: Known) -> None:
    """Has the last good configuration serve where the first one is refused, if its servers are where they were."""
    if saved.confirmed is None:  # without a Swarm HAProxy was started on it already
        return
    with contextlib.suppress(ProxyUnavailable):
        await reconciler.live(registry.snapshot().generation, "")
    if reconciler.outcome.configuration is not None:
        return
    now = registry.snapshot()
    if (now.tasks, now.addresses) == (saved.tasks, saved.addresses):
        await proxy.start_as_before()
    else:
        _log.warning("the configuration on disk is not used", reason="its servers are not where they were")


async def _confirm(store: Store, registry: Registry, every: float) -> NoReturn:
    """Keeps the time of the last complete listing on the disk, so that a start knows how old the endpoints are."""
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(store.save_endpoints, registry.snapshot())


async def _first_listing(swarm: Swarm | None) -> None:
    """Returns when the Swarm has been listed, or does not answer in time: until then no saved endpoint is used."""
    if swarm:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LISTING_SECONDS):
                await swarm.looked.wait()


async def _look_names_up(names: Names, swarm: Swarm | None) -> NoReturn:
    """Those that the Swarm has not placed."""
    await _first_listing(swarm)
    await names.run()


async def _reconcile(reconciler: Reconciler, names: Names, swarm: Swarm | None) -> NoReturn:
    """The first round waits for a first look at the world, so that it does not take routes away for a moment."""
    await _first_listing(swarm)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_NAMES_SECONDS):
            await names.looked.wait()
    await reconciler.run()


async def _listen(stack: contextlib.AsyncExitStack, api: Api, settings: Settings) -> tuple[Listener, web.AppRunner]:
    """Raises ProxyUnavailable, InvalidSettings."""
    tls = tls_of(settings.api_cert)
    runner = web.AppRunner(
        api.application(),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_CANCEL_SECONDS / 2,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=LINE_BYTES,
        max_field_size=HEADER_BYTES,
        auto_decompress=False,
        lingering_time=LINGERING_SECONDS,
    )
    await runner.setup()
    server = cast(web.Server, runner.server)  # set by setup()
    server.request_handler = with_short_paths(server.request_handler)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = Connections(min(settings.api_connections, files // 2))
    try:
        listener = Listener(settings.ip, settings.port, server, tls, connections)
    except OSError as error:
        raise ProxyUnavailable(f"the API cannot listen on PORT {settings.port}: {error.strerror or error}") from None
    return await stack.enter_async_context(listener), runner


def _of_environment(settings: Settings, environment: Mapping[str, str]) -> list[Entry]:
    """The services of the environment. Raises InvalidSettings with what is wrong."""
    described, unknown = services(environment, settings.default_protocol)
    for variable, meant in {**misspelt(environment), **{name: nearest_variable(name) for name in unknown}}.items():
        _log.warning("unknown variable", variable=variable, meant=meant)
    for variable, meant in unguarded(unknown, environment).items():
        raise InvalidSettings(f"{variable}: is unknown, and looks like protection; use {meant}")
    entries = []
    for number, parameters in described.items():
        try:
            service = parse(parameters, settings.defaults_for_environment)
        except InvalidService as error:
            raise InvalidSettings(f"DFP_SERVICE_{number}{'_' if number else ''}*: {error}") from None
        if settings.takes(service):
            entries.append(Entry(service, Origin.ENVIRONMENT, 0.0, parameters))
    return entries


async def _register_demo(stack: contextlib.AsyncExitStack, registry: Registry) -> None:
    runner, port = await start_demo("127.0.0.1", 0)
    stack.push_async_callback(runner.cleanup)
    parameters = {
        "serviceName": "demo",
        "servicePath": "/demo",
        "port": str(port),
        "outboundHostname": "127.0.0.1",
    }
    with contextlib.suppress(OwnedElsewhere):
        registry.put(Entry(parse(parameters), Origin.ENVIRONMENT, registry.created_at(time.time()), parameters))


async def _announce(
    reconciler: Reconciler,
    registry: Registry,
    settings: Settings,
    *,
    adopted: bool,
    demo: bool,
) -> None:
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


def _signalled() -> asyncio.Future[None]:
    """Done after SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    told = loop.create_future()

    def tell() -> None:
        if not told.done():
            told.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    return told


async def _unknown() -> None:
    """Nobody tells who the replicas are."""


def _quarter_of_connections() -> int:
    """A quarter of the connections that HAProxy may have: each takes two files (configuration manual, `maxconn`)."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_FEWEST_CONNECTIONS, files // 8)


def _may_chroot() -> bool:
    """Whether HAProxy's workers, started by us, can lock themselves into a folder (CAP_SYS_CHROOT)."""
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return os.geteuid() == 0 and bool(effective >> _CAP_SYS_CHROOT & 1)


def _empty_folder(state: Path) -> Path:
    """Where a worker that was taken over finds nothing to read or write. Raises ProxyUnavailable."""
    folder = state.resolve() / "empty"
    try:
        folder.mkdir(mode=0o500, parents=True, exist_ok=True)
    except OSError as error:
        raise ProxyUnavailable(f"FLOWPROXY_STATE_DIR: {folder}: {error.strerror}") from None
    return folder


def _unprivileged_user() -> str | None:
    """Whom HAProxy's workers become when they are started by root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("haproxy").pw_name
    except KeyError:
        return None
