"""Sources of services: the Swarm, the environment, an old listener, the demo; and the addresses of host names.

A source passes on parameters and endpoints. It neither routes nor validates.
"""
