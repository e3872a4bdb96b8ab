"""HAProxy configuration that a service supplies for its backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from flowproxy.features.feature import Feature, Parameters, Raw
from flowproxy.text.lines import require_network_addresses
from flowproxy.text.quoting import SECTIONS, keyword
from flowproxy.text.safe_lines import check_lines
from flowproxy.text.values import Lines


def _extra(value: str) -> str:
    """Return lines of a backend. Raises ValueError if they begin another section or use a local socket."""
    for line in value.splitlines():
        if keyword(line) in SECTIONS:
            raise ValueError(f"{line[:80]!r} begins a section; give lines of a backend")
    require_network_addresses(value.splitlines())
    return value


class OfService(Parameters):
    """Lines of the backend."""

    backend_extra: Annotated[Lines, AfterValidator(_extra)] | None = Field(
        None,
        description="Lines of HAProxy configuration for the backend, as far as FLOWPROXY_RAW_CONFIG allows.",
        examples=["http-request set-header X-Shop yes", "retries 2"],
    )


FEATURE = Feature(name="extra_lines", service=OfService, modes=("http", "tcp"), raw={"backendExtra": Raw(check_lines)})
