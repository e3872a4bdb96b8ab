"""Which parameters of a service are HAProxy configuration, and whether the level of its source allows them.

Features name such parameters and check them; FLOWPROXY_RAW_CONFIG and the source give the level (docs/guide/raw.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from flowproxy.errors import Problem
from flowproxy.features import FEATURES, Parameters, Raw
from flowproxy.services.model import Service
from flowproxy.text.expressions import pattern_budget
from flowproxy.text.lines import Level

_RAW = (
    "is HAProxy configuration, which is not allowed from this source: an API call needs FLOWPROXY_API_TOKEN, or set"
    " FLOWPROXY_RAW_CONFIG to safe or all"
)
_TEMPLATE = "is a template, which may hold any configuration of HAProxy; that needs FLOWPROXY_RAW_CONFIG=all"


def beyond(service: Service, level: Level) -> tuple[Problem, ...]:
    """Return a problem for each parameter that needs more than the level.

    Headers and formats that read only the request and the response are not configuration, at any level. Neither is
    the name of a header to delete, but a condition behind it is.
    """
    if level == "all":
        return ()
    with pattern_budget():
        return tuple(_beyond(service, level))


def _beyond(service: Service, level: Level) -> Iterable[Problem]:
    for feature in FEATURES:
        for parameter, raw in feature.raw.items():
            field = feature.parameters[parameter]
            models = [service] if field in type(service).model_fields else service.destinations
            for value in _values(models, field):
                yield from _problems(parameter, value, raw, level)


def _values(models: Iterable[Parameters], field: str) -> Iterable[str]:
    for model in models:
        value = getattr(model, field)
        yield from value if isinstance(value, tuple) else [value] if value else []


def _problems(parameter: str, value: str, raw: Raw, level: Level) -> Iterable[Problem]:
    if raw.check is None:
        yield Problem(parameter, "", _TEMPLATE)
    elif level == "none" and raw.is_configuration(value):
        yield Problem(parameter, "", _RAW)
    else:
        try:
            raw.check(value)
        except ValueError as error:
            yield Problem(parameter, "", f"is HAProxy configuration that is not allowed from this source: {error}")
