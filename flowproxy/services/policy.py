"""Which parameters of a service are HAProxy configuration, and whether the level of its source allows them.

This is the one place that decides it; FLOWPROXY_RAW_CONFIG and the source give the level (docs/guide/raw.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from flowproxy.errors import Problem
from flowproxy.services.model import Service
from flowproxy.text.expressions import pattern_budget
from flowproxy.text.lines import Level
from flowproxy.text.safe_lines import check_balance, check_header, check_lines, check_log_format

_RAW = (
    "is HAProxy configuration, which is not taken from here: a call by API needs FLOWPROXY_API_TOKEN, or set"
    " FLOWPROXY_RAW_CONFIG to safe or all"
)
_TEMPLATE = "is a template, which may hold any configuration of HAProxy; that needs FLOWPROXY_RAW_CONFIG=all"


def beyond(service: Service, level: Level) -> tuple[Problem, ...]:
    """Return what the service asks for beyond the level, each with the parameter that does.

    Headers and formats that read only the request and the response are no configuration, at any level. The name of a
    header to delete is none either; a condition behind it is.
    """
    if level == "all":
        return ()
    with pattern_budget():
        return tuple(_beyond(service, level))


def _beyond(service: Service, level: Level) -> Iterable[Problem]:
    for parameter, path in (("templateFePath", service.template_fe_path), ("templateBePath", service.template_be_path)):
        if path:
            yield Problem(parameter, "", _TEMPLATE)
    if service.backend_extra:
        yield from _raw("backendExtra", service.backend_extra, check_lines, level)
    for parameter, action, lines in (
        ("addReqHeader", "add-header", service.add_req_header),
        ("setReqHeader", "set-header", service.set_req_header),
        ("addResHeader", "add-header", service.add_res_header),
        ("setResHeader", "set-header", service.set_res_header),
    ):
        for line in lines:
            yield from _checked(parameter, line, partial(check_header, action))
    for parameter, names in (("delReqHeader", service.del_req_header), ("delResHeader", service.del_res_header)):
        for name in names:
            if " " in name:
                yield from _raw(parameter, name, partial(check_header, "del-header"), level)
    if service.debug_format:
        yield from _checked("debugFormat", service.debug_format, check_log_format)
    for destination in service.destinations:
        if destination.balance_group:
            yield from _checked("balanceGroup", destination.balance_group, check_balance)


def _raw(parameter: str, text: str, check: Callable[[str], None], level: Level) -> Iterable[Problem]:
    if level == "none":
        yield Problem(parameter, "", _RAW)
    else:
        yield from _checked(parameter, text, check)


def _checked(parameter: str, text: str, check: Callable[[str], None]) -> Iterable[Problem]:
    try:
        check(text)
    except ValueError as error:
        yield Problem(parameter, "", f"is HAProxy configuration that is not taken from here: {error}")
