"""Reports of libraries: short, without secrets, and not too often."""

from __future__ import annotations

import asyncio
import logging

import structlog
from structlog.testing import capture_logs

from flowproxy.logs import LibraryLog, LoopFailures, Throttle

SECRET = "swordfish-4711"  # noqa: S105


def _failure() -> ValueError:
    try:
        raise ValueError(f"bad header: Authorization: Bearer {SECRET}")
    except ValueError as error:
        return error


def test_an_event_passes_once_per_interval() -> None:
    now = 0.0
    throttle = Throttle(10, lambda: now)
    assert [throttle.held_back("a"), throttle.held_back("a"), throttle.held_back("b")] == [0, None, 0]
    now = 9.0
    assert throttle.held_back("a") is None
    now = 10.0
    assert [throttle.held_back("a"), throttle.held_back("a")] == [2, None]


def test_a_library_message_names_the_error_but_does_not_quote_it() -> None:
    structlog.reset_defaults()
    logger = logging.Logger("aiohttp.server")  # noqa: LOG001 - not that of other tests
    logger.addHandler(LibraryLog())
    with capture_logs() as lines:
        for _ in range(100):
            logger.error("Error handling request from %s\nmore", "10.0.0.7", exc_info=_failure())
        logger.info("nothing to see")
    (line,) = lines
    assert (line["logger"], line["message"]) == ("aiohttp.server", "Error handling request from 10.0.0.7")
    assert line["error"] == "ValueError"
    assert line["place"].startswith(__file__)
    assert SECRET not in str(lines)


def test_a_failure_of_the_event_loop_is_one_line() -> None:
    loop = asyncio.new_event_loop()
    report = LoopFailures()
    with capture_logs() as lines:
        for number in range(100):
            report(loop, {"message": f"Exception in callback f({SECRET!r}, {number})", "exception": _failure()})
        report(loop, {"message": "Task was destroyed but it is pending!"})
    loop.close()
    assert [line["message"] for line in lines] == [
        "Exception in callback f",
        "Task was destroyed but it is pending!",
    ]
    assert SECRET not in str(lines)
