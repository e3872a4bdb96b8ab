"""The metrics for Prometheus: Flowproxy's own, and HAProxy's if its exporter was built in."""

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
    """Reads its values on each scrape, so that nothing is counted in two places."""

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
        yield GaugeMetricFamily("flowproxy_generation", "The generation that HAProxy serves.", value=outcome.applied)
        yield GaugeMetricFamily(
            "flowproxy_converged", "Whether HAProxy serves the wanted generation.", value=float(outcome.failure is None)
        )
        routes = sum(len(part.routes) for part in outcome.table.parts.values())
        yield GaugeMetricFamily("flowproxy_routes", "Routes of all services.", value=routes)
        yield GaugeMetricFamily(
            "flowproxy_conflicts", "Claims that another service won.", value=len(outcome.table.conflicts)
        )
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
            "flowproxy_background_failures", "Failures of background loops, which were restarted.", labels=["loop"]
        )
        for loop, count in self._running.failures.items():
            failures.add_metric([loop], count)
        yield failures
        drift = CounterMetricFamily(
            "flowproxy_drift", "Changes in HAProxy by others that were undone.", labels=["what"]
        )
        for what in What:
            drift.add_metric([what], self._running.drift_watch.repaired[what])
        yield drift
        yield CounterMetricFamily(
            "flowproxy_drift_looks",
            "Comparisons of HAProxy with its expected state.",
            value=self._running.drift_watch.looks,
        )
        yield GaugeMetricFamily(
            "flowproxy_old_workers",
            "Old workers of HAProxy that still run after a reload because of long connections.",
            value=self._old_workers,
        )
        yield GaugeMetricFamily(
            "flowproxy_swarm_connected", "Whether the Swarm is reachable.", value=float(self._swarm.connected)
        )


async def exposition(running: Running, swarm: SwarmStatus) -> bytes:
    """Return all metrics in the text format of Prometheus, Flowproxy's first."""
    registry = CollectorRegistry()
    registry.register(_Figures(running, swarm, await running.proxy.statistics.old_workers()))
    return generate_latest(registry) + (await running.proxy.statistics.exposition()).encode()
