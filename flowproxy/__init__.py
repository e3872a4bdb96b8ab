"""Flowproxy: a reverse proxy controller for Docker Swarm that drives the HAProxy running beside it.

A label passes through the package once, top to bottom: a source (swarm, api, environment) hands flat parameters to
`parameters.parse`, the `registry` holds the resulting services, the `reconciler` compiles (`routing`), renders
(`render`) and compares (`plan`) them, and `proxy` brings HAProxy there. docs/architecture.md draws the way.
"""

__version__ = "0.1.0"
