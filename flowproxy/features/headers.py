"""Headers that requests and responses get or lose."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pydantic import Field

from flowproxy.features.feature import Feature, Parameters, Raw
from flowproxy.text.safe_lines import check_header
from flowproxy.text.values import HeaderLine, HeaderName

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


# A name alone is no configuration; a condition behind it is. A name with a value is checked at every level.
_ADDED = Raw(partial(check_header, "add-header"), is_configuration=lambda value: False)
_SET = Raw(partial(check_header, "set-header"), is_configuration=lambda value: False)
_DELETED = Raw(partial(check_header, "del-header"), is_configuration=lambda value: " " in value)

FEATURE = Feature(
    name="headers",
    service=OfService,
    modes=("http",),
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
