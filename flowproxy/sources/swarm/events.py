"""The events of one connection, gathered until the next listing."""

from __future__ import annotations

import time

from flowproxy.background import WakeUp


class Events:
    """Which services moved since they were taken last. Only the event loop may touch it."""

    def __init__(self) -> None:
        self._wake_up = WakeUp()
        self._services: set[str] = set()
        self._node_moved = False
        self.has_ended = False  # the stream, which is how the SDK says that the connection broke
        self.last: float | None = None  # in seconds since 1970
        self._heard_at = 0.0  # of a monotonic clock

    def clear(self) -> None:
        """Begin with a new connection."""
        self._services.clear()
        self._node_moved = self.has_ended = False

    def hear(self, kind: str, identity: str) -> None:
        """Note an event of a service or of a node."""
        self.last = time.time()
        self._heard_at = time.monotonic()
        if kind == "service":
            self._services.add(identity)
        else:
            self._node_moved = True
        self._wake_up.call()

    def move_nodes(self) -> None:
        """Note that nodes moved, without an event."""
        self._node_moved = True
        self._wake_up.call()

    def end(self) -> None:
        """Note that there will be no more."""
        self.has_ended = True
        self._wake_up.call()

    @property
    def is_pending(self) -> bool:
        return self._node_moved or bool(self._services)

    def take(self) -> tuple[set[str], bool]:
        """Return the ids of the services that moved, and whether a node did, which any service may have moved with."""
        taken = self._services, self._node_moved
        self._services, self._node_moved = set(), False
        return taken

    def silent_for(self, now: float) -> float:
        """Return the seconds since the last event. `now` is of a monotonic clock."""
        return now - self._heard_at

    async def wait(self, seconds: float) -> None:
        """Return when an event comes, or the end, and after so many seconds at most."""
        await self._wake_up.wait(seconds)
