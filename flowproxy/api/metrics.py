"""What Prometheus is told: our own figures, and HAProxy's from its exporter where it was built in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowproxy.control.drift_watch import DriftWatch
from flowproxy.control.reconciler import Reconciler
from flowproxy.haproxy.drift import What
from flowproxy.haproxy.plan import Cause
from flowproxy.haproxy.proxy import Proxy
from flowproxy.sources.swarm import SwarmStatus

_LONGEST_REASON = 300


class _Figures(Collector):
    """Read when asked: nothing is counted twice."""

    def __init__(
        self,
        reconciler: Reconciler,
        proxy: Proxy,
        swarm: SwarmStatus,
        old_workers: int,
        refused_certificates: Sized,
        background_failures: Mapping[str, int],
        drift_watch: DriftWatch,
    ) -> None:
        self._drift_watch = drift_watch
        self._old_workers = old_workers
        self._refused_certificates = refused_certificates
        self._background_failures = background_failures
        self._reconciler = reconciler
        self._proxy = proxy
        self._swarm = swarm

    def collect(self) -> Iterable[Metric]:
        outcome = self._reconciler.outcome
        reloads = CounterMetricFamily("flowproxy_reloads", "Reloads of HAProxy.", labels=["reason"])
        for cause in Cause:
            reloads.add_metric([cause], self._proxy.reloads[cause])
        yield reloads
        yield CounterMetricFamily(
            "flowproxy_runtime_updates", "Changes made without a reload.", value=self._proxy.runtime_updates
        )
        yield GaugeMetricFamily("flowproxy_generation", "What is applied.", value=outcome.applied)
        yield GaugeMetricFamily(
            "flowproxy_converged", "Whether HAProxy is where it should be.", value=float(outcome.failure is None)
        )
        routes = sum(len(part.routes) for part in outcome.table.parts.values())
        yield GaugeMetricFamily("flowproxy_routes", "Routes of all services.", value=routes)
        yield GaugeMetricFamily("flowproxy_conflicts", "Claims that lost.", value=len(outcome.table.conflicts))
        quarantined = GaugeMetricFamily(
            "flowproxy_quarantined", "Services that are refused, with the reason.", labels=["service", "reason"]
        )
        for name, reason in outcome.quarantined.items():
            quarantined.add_metric([name, reason[:_LONGEST_REASON]], 1)
        yield quarantined
        yield GaugeMetricFamily(
            "flowproxy_quarantined_certificates",
            "Files of certificates that are not used.",
            value=len(self._refused_certificates),
        )
        failures = CounterMetricFamily(
            "flowproxy_background_failures", "Mistakes in loops that were run again.", labels=["loop"]
        )
        for loop, count in self._background_failures.items():
            failures.add_metric([loop], count)
        yield failures
        drift = CounterMetricFamily(
            "flowproxy_drift", "What somebody else changed in HAProxy and was changed back.", labels=["what"]
        )
        for what in What:
            drift.add_metric([what], self._drift_watch.repaired[what])
        yield drift
        yield CounterMetricFamily(
            "flowproxy_drift_looks", "Comparisons of HAProxy with what it should hold.", value=self._drift_watch.looks
        )
        yield GaugeMetricFamily(
            "flowproxy_old_workers",
            "Workers of HAProxy that live on after a reload because of long connections.",
            value=self._old_workers,
        )
        yield GaugeMetricFamily(
            "flowproxy_swarm_connected", "Whether the Swarm is reached.", value=float(self._swarm.connected)
        )


async def exposition(
    reconciler: Reconciler,
    proxy: Proxy,
    swarm: SwarmStatus,
    refused_certificates: Sized,
    background_failures: Mapping[str, int],
    drift_watch: DriftWatch,
) -> bytes:
    """The text format, HAProxy's figures behind ours."""
    registry = CollectorRegistry()
    old_workers = await proxy.old_workers()
    figures = _Figures(reconciler, proxy, swarm, old_workers, refused_certificates, background_failures, drift_watch)
    registry.register(figures)
    return generate_latest(registry) + reconciler.by_name(await proxy.exporter()).encode()
