"""What libraries and the event loop report, in our own log: without the content of requests, and not too often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

import structlog

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 10.0
_LONGEST = 200


class Throttle:
    """Lets the same event pass once in a while."""

    def __init__(self, every_s: float = _EVERY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._passed: dict[Hashable, tuple[float, int]] = {}

    def held_back(self, event: Hashable) -> int | None:
        """Return how many of its kind were held back since the last one, or None when this one is held back too."""
        now = self._clock()
        passed_at, held = self._passed.get(event, (None, 0))
        if passed_at is not None and now - passed_at < self._every_s:
            self._passed[event] = (passed_at, held + 1)
            return None
        self._passed[event] = (now, 0)
        return held


class LibraryLog(logging.Handler):
    """Handler of the standard library's root logger. An exception is named but not quoted: aiohttp's quote headers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._throttle = Throttle()

    def emit(self, record: logging.LogRecord) -> None:
        held = self._throttle.held_back((record.name, record.msg))
        if held is None:
            return
        error = record.exc_info[1] if record.exc_info else None
        _log.warning(
            "library message",
            logger=record.name,
            message=_first_line(record.getMessage()),
            **_described(error),
            **_repeated(held),
        )


class LoopFailures:
    """The event loop's handler of exceptions that nobody awaits, such as those of connections that broke."""

    def __init__(self) -> None:
        self._throttle = Throttle()

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Behind the name of a callback are its arguments.
        message = _first_line(str(context.get("message", "")).partition("(")[0])
        error = _described(context.get("exception"))
        held = self._throttle.held_back((message, *error.values()))
        if held is not None:
            _log.error("background failure", message=message, **error, **_repeated(held))


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:_LONGEST]


def _described(error: object) -> dict[str, str]:
    """Return the type of an exception and the line that raised it."""
    if not isinstance(error, BaseException):
        return {}
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = {"place": f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"} if frame else {}
    return {"error": type(error).__name__, **place}


def _repeated(held: int) -> dict[str, int]:
    return {"repeated": held} if held else {}
