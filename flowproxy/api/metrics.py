"""What Prometheus is told: our own figures, and HAProxy's from its exporter where it was built in."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowproxy.api.collaborators import Running
from flowproxy.haproxy.drift import What
from flowproxy.haproxy.plan import Cause
from flowproxy.sources.swarm.status import SwarmStatus

_LONGEST_REASON = 300


class _Figures(Collector):
    """Read when asked: nothing is counted twice."""

    def __init__(self, running: Running, swarm: SwarmStatus, old_workers: int) -> None:
        self._running = running
        self._swarm = swarm
        self._old_workers = old_workers

    def collect(self) -> Iterable[Metric]:
        outcome = self._running.reconciler.outcome
        reloads = CounterMetricFamily("flowproxy_reloads", "Reloads of HAProxy.", labels=["reason"])
        for cause in Cause:
            reloads.add_metric([cause], self._running.proxy.reloads[cause])
        yield reloads
        yield CounterMetricFamily(
            "flowproxy_runtime_updates", "Changes made without a reload.", value=self._running.proxy.runtime_updates
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
            value=len(self._running.keyring.refused),
        )
        failures = CounterMetricFamily(
            "flowproxy_background_failures", "Mistakes in loops that were run again.", labels=["loop"]
        )
        for loop, count in self._running.failures.items():
            failures.add_metric([loop], count)
        yield failures
        drift = CounterMetricFamily(
            "flowproxy_drift", "What somebody else changed in HAProxy and was changed back.", labels=["what"]
        )
        for what in What:
            drift.add_metric([what], self._running.drift_watch.repaired[what])
        yield drift
        yield CounterMetricFamily(
            "flowproxy_drift_looks",
            "Comparisons of HAProxy with what it should hold.",
            value=self._running.drift_watch.looks,
        )
        yield GaugeMetricFamily(
            "flowproxy_old_workers",
            "Workers of HAProxy that live on after a reload because of long connections.",
            value=self._old_workers,
        )
        yield GaugeMetricFamily(
            "flowproxy_swarm_connected", "Whether the Swarm is reached.", value=float(self._swarm.connected)
        )


async def exposition(running: Running, swarm: SwarmStatus) -> bytes:
    """Return all figures in the text format of Prometheus, HAProxy's behind ours."""
    registry = CollectorRegistry()
    registry.register(_Figures(running, swarm, await running.proxy.statistics.old_workers()))
    return generate_latest(registry) + (await running.proxy.statistics.exposition()).encode()
