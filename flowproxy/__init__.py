"""Flowproxy: a reverse proxy controller for Docker Swarm that drives the HAProxy running beside it.

docs/architecture.md describes the packages and the way of a label through them.
"""

__version__ = "0.1.0"
