"""The Swarm service that this replica of the proxy is a task of."""

from __future__ import annotations

from flowproxy.errors import SwarmUnavailable
from flowproxy.sources.own_networks import own_interfaces
from flowproxy.sources.swarm.client import SwarmClient


async def addresses_of_own_service(client: SwarmClient) -> frozenset[str] | None:
    """Return the addresses of our own service's tasks, which is the one that has an address of ours; None where Docker
    does not answer or we are no service."""
    try:
        tasks = await client.wanted_tasks()
    except SwarmUnavailable:
        return None
    own = {str(interface.ip) for interface in own_interfaces()}
    ours = {task.service_id for task in tasks if own & task.plain_addresses}
    addresses = [task.plain_addresses for task in tasks if task.service_id in ours]
    return frozenset().union(*addresses) if addresses else None
