"""A destination without a route or a port is refused, with what is missing."""

from __future__ import annotations

import pytest

from flowproxy.errors import InvalidService, UnroutedService
from flowproxy.services.completeness import require_routes
from flowproxy.services.model import Destination, Service


def service(**given: object) -> Service:
    return Service(service_name="web", destinations=(Destination.model_validate(given),))


def test_what_is_missing_is_named() -> None:
    require_routes(service(service_path=("/",), port=80))
    with pytest.raises(UnroutedService, match="servicePath: is missing"):
        require_routes(service(port=80))
    with pytest.raises(InvalidService, match="port: is missing"):
        require_routes(service(service_path=("/",)))
    with pytest.raises(InvalidService, match="srcPort: is missing"):
        require_routes(service(req_mode="tcp", port=80))
