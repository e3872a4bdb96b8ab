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

from flowproxy.access import (
    HEADER_BYTES,
    IDLE_SECONDS,
    LINE_BYTES,
    LINGERING_SECONDS,
    UNGUARDED,
    Access,
    tls_of,
    with_short_paths,
)
from flowproxy.api import Api
from flowproxy.background import Background
from flowproxy.certificate import Certificate
from flowproxy.certificate_checks import CertificateChecks
from flowproxy.demo import start_demo
from flowproxy.deprecations import Deprecations
from flowproxy.environment import nearest_variable, services, unguarded
from flowproxy.errors import InvalidService, InvalidSettings, OwnedElsewhere, ProxyUnavailable
from flowproxy.informants import Informants
from flowproxy.keyring import Keyring
from flowproxy.listening import Connections, Listener
from flowproxy.logs import LoopFailures
from flowproxy.names import Names
from flowproxy.overlaps import Overlaps
from flowproxy.ownership import HostOwners
from flowproxy.parameters import parse
from flowproxy.proxy import Proxy, has_exporter, has_match_limits
from flowproxy.reconciler import Reconciler
from flowproxy.registry import Entry, Origin, Registry
from flowproxy.render import Renderer
from flowproxy.replicas import Replicas
from flowproxy.routing import compile_routes
from flowproxy.settings import Settings, misspelt, read_user_secrets, secrets_folder
from flowproxy.store import Store
from flowproxy.swarm import Swarm, SwarmStatus, is_expected

_log = structlog.get_logger(__name__)


_FIRST_LOOK_SECONDS = 5
_FEWEST_CONNECTIONS = 50
_CANCEL_SECONDS = 0.3  # for what was cancelled; what does not end by then is left behind
_CAP_SYS_CHROOT = 18  # capabilities(7), linux/capability.h


async def serve(settings: Settings, environment: Mapping[str, str], *, demo: bool = False) -> None:
    """Runs until SIGTERM or SIGINT, then drains. Raises ProxyUnavailable when it cannot start."""
    asyncio.get_running_loop().set_exception_handler(LoopFailures())
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
    checks = CertificateChecks(partial(_check_certificates, settings, renderer, proxy))
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
    names = Names(registry)
    deprecations = Deprecations()
    swarm = Swarm(registry, settings, environment, deprecations) if is_expected(settings, environment) else None
    keyring = Keyring(settings.certs, secrets_folder(), registry, checks)
    replicas = Replicas(settings, names, swarm.replicas if swarm else _unknown)
    informants = Informants(settings, registry)
    api = Api(
        settings,
        registry,
        reconciler,
        proxy,
        names,
        keyring,
        replicas,
        informants,
        deprecations,
        Access(settings),
        lambda: swarm.status if swarm else SwarmStatus(),
        background.failures,
    )

    async def work() -> None:
        adopted = await proxy.attach()
        if settings.api_token is None:
            _log.warning("the API is open", reason=UNGUARDED)
        _remember(store, registry, with_swarm=swarm is not None)
        _register_environment(registry, settings, environment)
        if demo:
            await _register_demo(stack, registry)

        def wake() -> None:
            reconciler.wake()
            names.wake()

        registry.on_change = wake
        await keyring.look()
        if swarm:
            await asyncio.sleep(settings.dns_lookup_pause_ms / 1000)
            await replicas.ask_for_certificates(keyring)
        registry.touch()
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "names": names.run,
            "certificates": keyring.run,
            "listeners": informants.run,
            "reconciler": partial(_reconcile, reconciler, names, swarm),
            "haproxy": partial(proxy.watch, reconciler.forget_running),
            "announcement": partial(_announce, reconciler, registry, settings, adopted=adopted, demo=demo),
        }
        if swarm:
            loops["swarm"] = swarm.run
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
            await _stop(settings.drain_timeout, working, proxy, listener)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await runner.cleanup()
        if not stop.done():
            working.result()


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


async def _check_certificates(
    settings: Settings, renderer: Renderer, proxy: Proxy, certificates: Sequence[Certificate]
) -> None:
    """Has HAProxy start with these certificates and without any service. Raises Rejected."""
    if settings.uses_certificates:
        await proxy.check(renderer.apart().render(compile_routes(()), {}, certificates))


def _remember(store: Store, registry: Registry, *, with_swarm: bool) -> None:
    """Begins with what was known when the last controller ended."""
    for entry in store.load():
        if with_swarm or entry.origin != Origin.SWARM:
            registry.put(entry)
    tasks, addresses = store.load_endpoints()
    for host, endpoints in addresses.items():
        registry.resolve(host, endpoints)
    for name, endpoints in tasks.items() if with_swarm else ():
        registry.place(name, endpoints)


async def _reconcile(reconciler: Reconciler, names: Names, swarm: Swarm | None) -> NoReturn:
    """The first round waits for a first look at the world, so that it does not take routes away for a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_LOOK_SECONDS):
            if swarm:
                await swarm.looked.wait()
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


def _register_environment(registry: Registry, settings: Settings, environment: Mapping[str, str]) -> None:
    """Raises InvalidSettings with a line for each service that is wrong."""
    described, unknown = services(environment, settings.default_protocol)
    for variable, meant in {**misspelt(environment), **{name: nearest_variable(name) for name in unknown}}.items():
        _log.warning("unknown variable", variable=variable, meant=meant)
    for variable, meant in unguarded(unknown, environment).items():
        raise InvalidSettings(f"{variable}: is unknown, and looks like protection; use {meant}")
    registry.retain(Origin.ENVIRONMENT, ())
    for number, parameters in described.items():
        try:
            service = parse(parameters, settings.defaults_for_environment)
        except InvalidService as error:
            raise InvalidSettings(f"DFP_SERVICE_{number}{'_' if number else ''}*: {error}") from None
        if settings.takes(service):
            registry.put(Entry(service, Origin.ENVIRONMENT, 0.0, parameters))


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
