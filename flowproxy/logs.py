"""The log: one line per event, and what libraries and the event loop report without the content of requests."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any

import structlog

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 10.0
_LONGEST = 200


def set_up_log(log_format: str, *, debug: bool) -> None:
    """Log one line per event to standard output, which HAProxy logs to as well.

    Args:
        log_format: `json` or `text`.
        debug: whether events of the level debug are logged.
    """
    as_json = log_format == "json"
    timestamp = structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json)
    structlog.configure(
        processors=[structlog.processors.add_log_level, timestamp, *(_to_json() if as_json else _to_text())],
        # A line and its end in one write: HAProxy writes to the same place, and must not come in between.
        logger_factory=structlog.WriteLoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLog()])


def _to_json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _to_text() -> list[structlog.typing.Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,  # the others show the values of variables
        )
    ]


class Throttle:
    """Lets an event pass once per interval."""

    def __init__(self, every_s: float = _EVERY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._passed: dict[Hashable, tuple[float, int]] = {}

    def held_back(self, event: Hashable) -> int | None:
        """Return how many equal events were held back since the last one, or None if this one is held back too."""
        now = self._clock()
        passed_at, held = self._passed.get(event, (None, 0))
        if passed_at is not None and now - passed_at < self._every_s:
            self._passed[event] = (passed_at, held + 1)
            return None
        self._passed[event] = (now, 0)
        return held


class LibraryLog(logging.Handler):
    """The handler of the standard library's root logger.

    An exception is named but not quoted, because those of aiohttp quote headers.
    """

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
    """The event loop's handler of exceptions that nobody awaits, such as those of broken connections."""

    def __init__(self) -> None:
        self._throttle = Throttle()

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The name of a callback is followed by its arguments.
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
