"""Who tells us about services: Swarm, the environment, an old listener, the demo; and addresses of host names.

A source hands over parameters and endpoints. It neither routes nor decides what is valid.
"""
