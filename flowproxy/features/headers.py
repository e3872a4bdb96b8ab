"""Headers that are added to, set in or deleted from requests and responses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import Field

from flowproxy.features.feature import Change, Feature, Parameters, Raw
from flowproxy.text.lines import texts_of
from flowproxy.text.safe_lines import check_header
from flowproxy.text.values import HeaderLine, HeaderName

if TYPE_CHECKING:
    from flowproxy.features import DestinationParameters, ServiceParameters

_LONGEST = 1000  # of a value in a map; HAProxy's runtime API takes commands of 16 KB
_MOST = 100  # a message has at most 101 headers


class OfService(Parameters):
    """Headers to add, to set and to delete."""

    add_req_header: tuple[HeaderLine, ...] = Field(
        (),
        description="Request headers to add: `Name value`, conditions included.",
        examples=["X-Tenant shop", "X-Tenant store"],
    )
    set_req_header: tuple[HeaderLine, ...] = Field(
        (), description="Request headers to set.", examples=["X-Tenant shop", "X-Tenant store"]
    )
    del_req_header: tuple[HeaderName, ...] = Field(
        (),
        description="Request headers to delete; with a condition it is HAProxy configuration, as `backendExtra` is.",
        examples=["X-Debug", "X-Trace"],
    )
    add_res_header: tuple[HeaderLine, ...] = Field(
        (), description="Response headers to add.", examples=["X-Frame-Options DENY", "X-Frame-Options SAMEORIGIN"]
    )
    set_res_header: tuple[HeaderLine, ...] = Field(
        (), description="Response headers to set.", examples=["X-Frame-Options DENY", "X-Frame-Options SAMEORIGIN"]
    )
    del_res_header: tuple[HeaderName, ...] = Field(
        (), description="Response headers to delete.", examples=["Server", "X-Powered-By"]
    )


def _modern(parameters: Mapping[str, str]) -> Mapping[str, str]:
    names = {"addHeader": "addReqHeader", "setHeader": "setReqHeader"}
    return {new: parameters[old] for old, new in names.items() if parameters.get(old) and not parameters.get(new)}


def fixed_value(header: str) -> str | None:
    """Return the value of `Name value`, as HAProxy reads it, if it has neither a format nor a condition."""
    try:
        words = texts_of(header)
    except ValueError:
        return None
    if len(words) != 2 or not words[1] or "%" in words[1].replace("%%", ""):
        return None
    value = words[1].replace("%%", "%")
    return value if len(value) <= _LONGEST else None


def _values(service: ServiceParameters, _: DestinationParameters) -> Mapping[str, str]:
    """Fixed values, percent-encoded, by parameter and place in its list."""
    lists = {
        "addReqHeader": service.add_req_header,
        "setReqHeader": service.set_req_header,
        "addResHeader": service.add_res_header,
        "setResHeader": service.set_res_header,
    }
    found = {f"{name}.{n}": fixed_value(line) for name, listed in lists.items() for n, line in enumerate(listed, 1)}
    return {slot: quote(value) for slot, value in found.items() if value is not None}


# A name alone is no configuration; a condition behind it is. A name with a value is checked at every level.
_ADDED = Raw(partial(check_header, "add-header"), is_configuration=lambda value: False)
_SET = Raw(partial(check_header, "set-header"), is_configuration=lambda value: False)
_DELETED = Raw(partial(check_header, "del-header"), is_configuration=lambda value: " " in value)

FEATURE = Feature(
    name="headers",
    service=OfService,
    modes=("http",),
    changes=dict.fromkeys(["addReqHeader", "setReqHeader", "addResHeader", "setResHeader"], Change.MAP),
    values=_values,
    most=dict.fromkeys(OfService.by_public_name(), _MOST),
    raw={
        "addReqHeader": _ADDED,
        "setReqHeader": _SET,
        "addResHeader": _ADDED,
        "setResHeader": _SET,
        "delReqHeader": _DELETED,
        "delResHeader": _DELETED,
    },
    old_names={"addHeader": "addReqHeader", "setHeader": "setReqHeader"},
    modern=_modern,
)
