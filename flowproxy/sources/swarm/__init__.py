"""One Docker daemon, a Swarm manager, to the registry: list, listen to events, list again.

An event only says which service moved; what is true is asked for. `listing` and `pacing` are pure, `client` alone
touches the docker SDK.
"""
