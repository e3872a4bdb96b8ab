"""Old names of parameters: each is told once, with the new one."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from flowproxy.services.parse import deprecated

_log = structlog.get_logger(__name__)


class Deprecations:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def tell(self, parameters: Mapping[str, str]) -> None:
        service = parameters.get("serviceName", "")
        for old, new in deprecated(parameters).items():
            if (service, old) not in self._told:
                self._told.add((service, old))
                _log.warning("deprecated parameter", service=service, parameter=old, instead=new)
