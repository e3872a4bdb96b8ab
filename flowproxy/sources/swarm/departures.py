"""Decides which tasks get requests while the tasks of a service are replaced.

A task without a health check is `running` before it listens. If Swarm stops the last old task at that moment, no task
answers. But a task goes on for two to three seconds after its desired state has become `shutdown`, and can serve until
the others are ready.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flowproxy.sources.swarm.listing import Task, serving

_READY_AFTER_S = 2.0  # a task that has run for so long listens, or HAProxy's checks say that it does not
_SERVES_ON_S = 2.0  # a request that is sent later may meet the end of the task


class Departures:
    """Remembers when each task of a service began to run, and when it was first seen to be stopping."""

    def __init__(self) -> None:
        self._since: dict[str, dict[tuple[str, bool], float]] = {}

    def serving(self, service_id: str, tasks: Sequence[Task], unreachable: frozenset[str], now: float) -> list[Task]:
        """Return the tasks of a service that get requests.

        These are the running ones, and for two seconds at most the stopping ones, as long as no other task has run for
        two seconds.

        Args:
            tasks: all listed tasks of the service.
            unreachable: the ids of nodes out of contact.
            now: the time of a monotonic clock, in seconds.
        """
        before = self._since.get(service_id, {})
        known = [(task.name, task.stopping) for task in tasks if task.serving or task.stopping]
        since = self._since[service_id] = {key: before.get(key, now) for key in known}
        running = serving(tasks, unreachable)
        if not running or any(now - since[task.name, False] >= _READY_AFTER_S for task in running):
            return running
        stopping = [task for task in tasks if task.stopping and task.node_id not in unreachable]
        return running + [task for task in stopping if now - since[task.name, True] < _SERVES_ON_S]

    def retain(self, service_ids: Collection[str]) -> None:
        """Forget all other services."""
        self._since = {service_id: since for service_id, since in self._since.items() if service_id in service_ids}
