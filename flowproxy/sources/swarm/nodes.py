"""The nodes that the Swarm has no contact with."""

from __future__ import annotations

import structlog

from flowproxy.sources.swarm.client import Forbidden, SwarmClient

_log = structlog.get_logger(__name__)


class Nodes:
    """Lists nodes. A socket proxy may forbid it; then only HAProxy's checks find the tasks of a dead node."""

    def __init__(self, client: SwarmClient) -> None:
        self._client = client
        self._may_list = True
        self._last: frozenset[str] = frozenset()

    async def unreachable(self) -> frozenset[str]:
        """Return the ids of nodes out of contact; none where they may not be listed. Raises SwarmUnavailable."""
        try:
            unreachable = await self._client.unreachable_nodes()
        except Forbidden as error:
            if self._may_list:
                _log.warning("node listing failed", reason=str(error))
            self._may_list, self._last = False, frozenset()
            return self._last
        if unreachable != self._last:
            _log.info("nodes out of contact", nodes=sorted(unreachable))
        self._may_list, self._last = True, unreachable
        return self._last
