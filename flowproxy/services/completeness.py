"""What a destination must have: a route and a port."""

from __future__ import annotations

from flowproxy.errors import InvalidService, Problem, UnroutedService
from flowproxy.services.model import Service


def require_routes(service: Service) -> None:
    """Check that every destination has a route and a port.

    Raises InvalidService, or UnroutedService where only the route is missing.
    """
    for destination in service.destinations:
        suffix = destination.suffix

        def missing(
            name: str, rule: str, kind: type[InvalidService] = InvalidService, s: str = suffix
        ) -> InvalidService:
            return kind(service.service_name, (Problem(name + s, "", f"is missing; {rule}"),))

        if destination.req_mode == "http":
            routed = destination.service_path or service.is_default_backend or service.template_fe_path
            if not routed:
                raise missing("servicePath", f"give it or serviceDomain{suffix}", UnroutedService)
            if destination.port is None and destination.https_port is None and not service.template_be_path:
                raise missing("port", "give the port that the service listens on")
            if destination.redirect_from_domain and not destination.service_domain:
                raise missing("serviceDomain", f"redirectFromDomain{suffix} needs a domain to redirect to")
            continue
        if destination.port is None:
            raise missing("port", "give the port that the service listens on")
        if destination.src_port is None:
            raise missing("srcPort", f"give the port to listen on for {destination.req_mode}")
        if destination.req_mode == "sni" and not destination.service_path:
            raise missing("servicePath", "give the TLS server names")
