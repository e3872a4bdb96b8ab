"""Logs which services take requests from which others, once for each overlap."""

from __future__ import annotations

import asyncio

import structlog

from flowproxy.routing.overlap_level import WARNING
from flowproxy.routing.overlaps import Overlaps, Reported
from flowproxy.routing.table import RouteTable

_log = structlog.get_logger(__name__)

_LOGGED = 20  # overlaps of one report


class OverlapReports:
    """Provides the current `overlaps`, and remembers which were logged."""

    def __init__(self, overlaps: Overlaps) -> None:
        self.overlaps = overlaps
        self._reported = Reported()

    async def report(self, table: RouteTable) -> None:
        """Log new overlaps."""
        try:
            appeared = await asyncio.to_thread(self._reported.new, self.overlaps, table)
        except Exception as error:  # noqa: BLE001 - a bug there must not end the loop
            _log.error("overlap check failed", exc_info=error)
            return
        for overlap in appeared[:_LOGGED]:
            log = _log.warning if overlap.level == WARNING else _log.info
            log("routes overlap", **overlap._asdict())
        if len(appeared) > _LOGGED:
            _log.warning("more routes overlap; /v1/status lists them", overlaps=len(appeared) - _LOGGED)
