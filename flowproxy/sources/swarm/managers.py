"""Watches which managers the others cannot reach.

The Swarm reports that within two seconds of their death, ten seconds before their nodes are down, but sends no event.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from flowproxy.errors import SwarmUnavailable
from flowproxy.sources.swarm.client import Forbidden, SwarmClient
from flowproxy.sources.swarm.events import Events

_EVERY_S, _FORBIDDEN_S = 1.0, 60.0  # between two listings, and when they are not allowed


async def watch_managers(client: SwarmClient, events: Events) -> NoReturn:
    """Mark the nodes as moved whenever the set of unreachable managers changes."""
    known: frozenset[str] = frozenset()
    while True:
        await asyncio.sleep(_EVERY_S)
        if not client.is_connected:
            continue
        try:
            missed = await client.unreachable_nodes(role="manager")
        except Forbidden:
            await asyncio.sleep(_FORBIDDEN_S)
            continue
        except SwarmUnavailable:
            continue  # the listings of services say so
        if missed != known:
            events.move_nodes()
        known = missed
