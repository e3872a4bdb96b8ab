"""Which tasks get requests while the tasks of a service are replaced.

A task without a health check counts as running before it listens. When Swarm stops the last of the old tasks in that
moment, nobody would answer. But Swarm lets a task go on for two to three seconds after it wants it to stop, so that it
can serve until the others are ready.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flowproxy.sources.swarm.listing import Task, serving

_READY_AFTER_S = 2.0  # a task that has run for so long listens, or HAProxy's checks say that it does not
_SERVES_ON_S = 2.0  # a request that is sent later may meet the end of the task


class Departures:
    """Remembers of the tasks of each service since when they run, and since when they are to stop."""

    def __init__(self) -> None:
        self._since: dict[str, dict[tuple[str, bool], float]] = {}

    def serving(self, service_id: str, tasks: Sequence[Task], unreachable: frozenset[str], now: float) -> list[Task]:
        """Return the tasks of a service that get requests.

        Those are the ones that are to run. Those that are to stop serve on, for two seconds at most, while none of the
        others has run for two seconds.

        Args:
            tasks: all that are listed of the service.
            unreachable: the ids of nodes that are out of contact.
            now: seconds of a clock that never goes back.
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
