"""Routing: which service gets a request (`meaning`), and the maps and rules that say the same (`compile`, `table`).

Also the ports of tcp and sni services, the owners of hosts, overlaps, and which certificates of services are shown.
Pure: services in, lookups out. It does no I/O and knows nothing of templates or of the running HAProxy.
"""
