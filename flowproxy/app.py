"""Builds the objects and runs them. Nothing else constructs anything, and no rule is here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog

from flowproxy.api.access import UNGUARDED, Access
from flowproxy.api.handlers import Api
from flowproxy.api.server import listen
from flowproxy.background import Background
from flowproxy.certificates.checks import CertificateChecks
from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas
from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.exchange import Exchange
from flowproxy.control.reconciler import Reconciler
from flowproxy.control.registration import Registration
from flowproxy.control.saved_state import SavedState
from flowproxy.control.shutdown import CANCEL_SECONDS, leave, signalled, stop
from flowproxy.control.startup import FirstLook, Greeting, announce, ask_at_once, take_over
from flowproxy.haproxy.privileges import empty_root, quarter_of_connections, unprivileged_user
from flowproxy.haproxy.proxy import Proxy, has_exporter, has_match_limits
from flowproxy.logs import LoopFailures
from flowproxy.rendering.configuration import Renderer
from flowproxy.routing.overlaps import Overlaps
from flowproxy.routing.ownership import HostOwners
from flowproxy.routing.table import compile_routes
from flowproxy.services.admission import Admission, Rules
from flowproxy.services.certificate import Certificate
from flowproxy.services.registry import Origin, Registry
from flowproxy.services.store import Store
from flowproxy.settings import Settings, read_user_secrets, secrets_folder
from flowproxy.sources.demo import Demo
from flowproxy.sources.environment import Environment
from flowproxy.sources.host_names import Names
from flowproxy.sources.listener import Listeners
from flowproxy.sources.source import Source
from flowproxy.sources.swarm.source import Swarm

_log = structlog.get_logger(__name__)


async def serve(settings: Settings, environment: Mapping[str, str], *, demo: bool = False) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises ProxyUnavailable and InvalidSettings when it cannot start."""
    asyncio.get_running_loop().set_exception_handler(LoopFailures())
    stopping = signalled()
    background = Background()
    registry = Registry()
    admission = Admission(registry, _rules(settings))
    of_environment = Environment(admission, environment, settings.default_protocol)
    proxy = Proxy(settings)
    renderer = await _renderer(settings)
    judge = renderer if settings.uses_certificates else Renderer(settings.with_certificates)
    checks = CertificateChecks(partial(_check_certificates, judge, proxy))
    store = Store(proxy.folder)
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
    swarm = Swarm(admission, settings, environment)
    with_swarm = swarm.is_watched
    keyring = Keyring(settings.certs, secrets_folder(), registry, checks, proxy.folder / "certificates.json")
    replicas = Replicas(settings, names, swarm.replicas)
    exchange = Exchange(settings, admission, keyring, replicas)
    greeting = Greeting(replicas, keyring, exchange, settings.dns_lookup_pause_ms / 1000)
    registration = Registration(settings, admission, reconciler, names, exchange)
    listeners = Listeners(settings, admission)
    demo_source = Demo(admission, settings.proxy_instance_name)
    at_once: list[Source] = [of_environment, *([demo_source] if demo else [])]
    saved = SavedState(store, admission, settings.stale_after, with_swarm=with_swarm)
    first_look = FirstLook(names, swarm.looked if with_swarm else None)
    api = Api(
        settings,
        registry,
        reconciler,
        proxy,
        names,
        keyring,
        replicas,
        exchange,
        listeners,
        registration,
        [swarm, listeners, *at_once, registration, names],
        Access(settings),
        lambda: swarm.connection,
        background.failures,
        drift_watch,
    )

    def wake() -> None:
        reconciler.wake()
        names.wake()

    registry.on_change = wake
    loops: dict[str, Callable[[], Awaitable[None]]] = {
        "names": first_look.look_names_up,
        "certificates": keyring.run,
        "listeners": listeners.run,
        "reconciler": partial(first_look.reconcile, reconciler),
        "fallback": partial(saved.fall_back, reconciler, proxy),
        "drift": drift_watch.run,
        "replicas": exchange.run,
        "haproxy": partial(proxy.watch, reconciler.forget_running),
        "announcement": partial(announce, reconciler, registry, settings, demo=demo),
    }
    if with_swarm:
        loops |= {"swarm": swarm.run, "confirmations": saved.keep_confirmed}

    async def work() -> None:
        await take_over(proxy, saved, with_swarm=with_swarm)
        if settings.api_token is None:
            _log.warning("the API is open", reason=UNGUARDED)
        await ask_at_once(at_once, keyring)
        if with_swarm:
            await greeting.run(background)
        registry.touch()
        async with asyncio.TaskGroup() as tasks:
            for name, run in loops.items():
                tasks.create_task(background.keep(name, run), name=name)

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(proxy.close)
        stack.callback(names.close)
        stack.callback(swarm.close)
        stack.push_async_callback(demo_source.close)
        listener, runner = await listen(api.application(), settings)
        await stack.enter_async_context(listener)
        # A group would wait forever for what does not end when it is cancelled.
        working = asyncio.create_task(work(), name="work")  # noqa: TID251 - stop() waits for it, with a deadline
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            await leave(settings, registry, working)
            await stop(settings, listener.stop, working, proxy)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await runner.cleanup()
        if not stopping.done():
            working.result()


def _rules(settings: Settings) -> Rules:
    listed = {
        Origin.SWARM: settings.defaults,
        Origin.ENVIRONMENT: settings.defaults_for_environment,
        Origin.API: settings.defaults,
    }
    return Rules(listed, settings.defaults_for_calls, settings.takes)


async def _renderer(settings: Settings) -> Renderer:
    return Renderer(
        settings,
        exporter=await has_exporter(settings.haproxy),
        match_limits=await has_match_limits(settings.haproxy),
        run_user=unprivileged_user(),
        chroot=empty_root(settings.state_dir),
        secrets=read_user_secrets(),
        service_connections=quarter_of_connections(),
    )


async def _check_certificates(renderer: Renderer, proxy: Proxy, certificates: Sequence[Certificate]) -> None:
    """Have HAProxy look at these certificates without any service. Raises Rejected."""
    await proxy.check(renderer.apart().render(compile_routes(()), {}, certificates))
