from __future__ import annotations

import pytest
from routing_cases import candidate

from flowproxy.loops import OwnAddresses
from flowproxy.model import Endpoint
from flowproxy.render import Renderer
from flowproxy.routing import compile_routes
from flowproxy.settings import Settings

OWN = OwnAddresses(["10.0.0.7", "fd00::7"])


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.7", True),
        ("10.0.0.7", True),
        ("fd00:0::7", True),
        ("10.0.0.8", False),
    ],
)
def test_every_spelling_of_an_own_address_is_known(address: str, is_own: bool) -> None:
    assert (address in OWN) == is_own


@pytest.mark.parametrize(
    ("address", "port", "loops"),
    [
        ("10.0.0.7", 80, True),
        ("127.0.0.1", 443, True),
        ("10.0.0.7", 8080, False),  # the API
        ("10.0.0.8", 80, False),
    ],
)
def test_no_server_is_the_proxy_itself(address: str, port: int, loops: bool) -> None:
    renderer = Renderer(Settings(default_ports=("80", "443:ssl")), own_addresses=OWN)
    by_address = candidate("web", servicePath="/", outboundHostname=address, port=str(port))
    by_name = candidate("named", servicePath="/n", outboundHostname="other", port=str(port))
    endpoints = {"other": (Endpoint.of_address("10.0.0.9"), Endpoint.of_address(address))}

    configuration = renderer.render(compile_routes([by_address, by_name]), endpoints)

    assert configuration.looping == ({"web", "named"} if loops else set())
    assert len(configuration.servers[f"web-be{port}_0"]) == (not loops)
    assert len(configuration.servers[f"named-be{port}_0"]) == 2 - loops
