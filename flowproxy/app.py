"""Constructs all long-lived objects and runs them. It contains no rules of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from flowproxy.api.access import UNGUARDED, Access
from flowproxy.api.collaborators import Desired, Peers, Running, Sources
from flowproxy.api.http_server import listening
from flowproxy.api.server import application
from flowproxy.background import Background
from flowproxy.certificates.checks import CertificateChecks
from flowproxy.certificates.keyring import Keyring
from flowproxy.cluster.replicas import Replicas
from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.exchange import Exchange
from flowproxy.control.overlap_reports import OverlapReports
from flowproxy.control.pipeline import Pipeline
from flowproxy.control.quarantine import Quarantine
from flowproxy.control.reconciler import Reconciler
from flowproxy.control.registration import Registration
from flowproxy.control.rounds import Rounds
from flowproxy.control.saved_state import SavedState
from flowproxy.control.shutdown import leave, signalled, stop
from flowproxy.control.startup import FirstLook, Greeting, announce, ask_at_once, take_over
from flowproxy.control.template_files import ServiceTemplateFiles, read_materials
from flowproxy.haproxy.privileges import empty_root, quarter_of_connections, unprivileged_user
from flowproxy.haproxy.program import Program
from flowproxy.haproxy.proxy import Proxy
from flowproxy.logs import LoopFailures
from flowproxy.rendering.materials import Materials
from flowproxy.rendering.renderer import Renderer
from flowproxy.routing.compile import compile_routes
from flowproxy.routing.overlaps import Overlaps
from flowproxy.routing.ownership import HostOwners
from flowproxy.services.admission import Admission, Rules
from flowproxy.services.certificate import Certificate
from flowproxy.services.registry import Origin, Registry
from flowproxy.services.store import Store
from flowproxy.settings.model import Settings
from flowproxy.sources.demo import Demo
from flowproxy.sources.environment import Environment
from flowproxy.sources.host_names import Names
from flowproxy.sources.listener import Listeners
from flowproxy.sources.source import Source
from flowproxy.sources.swarm.source import Swarm

_log = structlog.get_logger(__name__)


async def serve(settings: Settings, *, demo: bool = False) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises ProxyUnavailable or InvalidSettings if it cannot start."""
    asyncio.get_running_loop().set_exception_handler(LoopFailures())
    stopping = signalled()
    background = Background()
    registry = Registry()
    admission = Admission(registry, _rules(settings))
    of_environment = Environment(admission, settings.environment, settings.default_protocol)
    proxy = Proxy(settings)
    materials = await _materials(settings)
    renderer = Renderer(settings, materials)
    judge = renderer if settings.uses_certificates else Renderer(settings.with_certificates, materials)
    checks = CertificateChecks(partial(_check_certificates, judge, proxy))
    store = Store(proxy.folder)
    pipeline = Pipeline(renderer)
    quarantine = Quarantine(pipeline, proxy, checks, HostOwners() if settings.hosts == "stack" else None)
    rounds = Rounds(store, ServiceTemplateFiles(settings), pipeline, proxy, quarantine)
    reports = OverlapReports(Overlaps(settings.traffic_ports))
    reconciler = Reconciler(registry, rounds, proxy, reports, tidy_after=settings.tidy_after)
    drift_watch = DriftWatch(reconciler, proxy, settings.resync_interval)
    names = Names(registry)
    swarm = Swarm(admission, settings, settings.environment)
    with_swarm = swarm.is_watched
    keyring = Keyring(settings.certs, settings.secrets, registry, checks, proxy.folder / "certificates.json")
    replicas = Replicas(settings, names, swarm.replicas)
    exchange = Exchange(settings, admission, keyring, replicas)
    greeting = Greeting(replicas, keyring, exchange, settings.dns_lookup_pause_ms / 1000)
    registration = Registration(settings, admission, reconciler, names, exchange)
    listeners = Listeners(settings, admission)
    demo_source = Demo(admission, settings.proxy_instance_name)
    at_once: list[Source] = [of_environment, *([demo_source] if demo else [])]
    saved = SavedState(store, admission, settings.stale_after, with_swarm=with_swarm)
    first_look = FirstLook(names, swarm.looked if with_swarm else None)
    running = Running(reconciler, proxy, keyring, drift_watch, background.failures)
    sources = Sources(listeners, lambda: swarm.connection, [swarm, listeners, *at_once, registration, names])
    peers = Peers(registration, replicas, exchange)
    api = application(Access(settings), Desired(settings, registry), running, peers, sources)

    def wake() -> None:
        reconciler.wake()
        names.wake()

    registry.on_change = wake
    loops: dict[str, Callable[[], Awaitable[None]]] = {
        "names": first_look.look_names_up,
        "certificates": partial(keyring.run, settings.resync_interval),
        "listeners": listeners.run,
        "reconciler": partial(first_look.reconcile, reconciler),
        "fallback": partial(saved.fall_back, reconciler, proxy.supervisor),
        "drift": drift_watch.run,
        "replicas": exchange.run,
        "haproxy": partial(proxy.supervisor.watch, reconciler.forget_running),
        "announcement": partial(announce, reconciler, registry, settings, demo=demo),
    }
    if with_swarm:
        loops |= {"swarm": swarm.run, "confirmations": saved.keep_confirmed}

    async def work() -> None:
        await take_over(proxy.supervisor, saved, with_swarm=with_swarm)
        if settings.api_token is None:
            _log.warning("API not protected", reason=UNGUARDED)
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
        listener = await stack.enter_async_context(listening(api, settings))
        # A task group would wait forever for a task that ignores its cancellation.
        working = asyncio.create_task(work(), name="work")  # noqa: TID251 - stop() waits for it, with a deadline
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            await leave(settings, registry, working)
            await stop(settings, listener.stop, working, proxy.supervisor)
        else:
            working.result()


def _rules(settings: Settings) -> Rules:
    listed = {
        Origin.SWARM: settings.defaults,
        Origin.ENVIRONMENT: settings.defaults_for_environment,
        Origin.API: settings.defaults,
    }
    return Rules(listed, settings.defaults_for_calls, settings.takes)


async def _materials(settings: Settings) -> Materials:
    abilities = await Program(settings.haproxy, settings.environment).abilities()
    chroot = empty_root(settings.state_dir)
    return replace(
        read_materials(settings),
        exporter=abilities.exporter,
        match_limits=abilities.match_limits,
        run_user=unprivileged_user(),
        chroot=str(chroot) if chroot else None,
        secrets=settings.user_secrets,
        service_connections=quarter_of_connections(),
    )


async def _check_certificates(renderer: Renderer, proxy: Proxy, certificates: Sequence[Certificate]) -> None:
    """Check these certificates with HAProxy, without any services. Raises Rejected."""
    await proxy.check(renderer.render(compile_routes(()), {}, certificates))
