"""CPU time of one comparison of HAProxy with what it should hold: `python tests/bench/drift.py`."""

from __future__ import annotations

import sys
import time

from configurations import RENDERER

from flowproxy.haproxy.drift import find_drift
from flowproxy.haproxy.inspection import seen_in
from flowproxy.haproxy.plan import Running
from flowproxy.rendering.configuration import Configuration
from flowproxy.routing.compile import compile_routes
from flowproxy.services.model import Candidate, Endpoint
from flowproxy.services.parse import parse

ADDRESSES = ("10.0.0.1", "10.0.0.2")


def configuration(services: int) -> Configuration:
    names = [f"s{number}" for number in range(services)]
    candidates = [Candidate(parse({"serviceName": name, "servicePath": f"/{name}", "port": "80"}), 0) for name in names]
    placed = {name: tuple(map(Endpoint.of_address, ADDRESSES)) for name in names}
    return RENDERER.render(compile_routes(candidates), placed)


def answers(configuration: Configuration) -> list[str]:
    """What HAProxy shows when it holds this configuration."""
    servers = [
        f"4 {backend} 1 {s.name} {s.address} 2 0 1 1 1 6 3 4 6 0 0 0 - {s.port} - 0 0 - - 0"
        for backend, listed in configuration.servers.items()
        for s in listed
    ]
    maps = (entries.items() for entries in configuration.maps.values())
    return ["\n".join(servers), *("\n".join(f"0x55c7d81bb3f0 {k} {v}" for k, v in entries) for entries in maps)]


def main() -> None:
    for services in (1_000, 10_000):
        wanted = configuration(services)
        running, said = Running.fresh(wanted), answers(wanted)
        taken = []
        for _ in range(5):
            began = time.process_time()
            found = find_drift(running, seen_in(said, list(wanted.maps), {}), ())
            taken.append(time.process_time() - began)
            assert found == []
        sys.stdout.write(f"{services} services: {min(taken) * 1000:.0f} ms\n")


if __name__ == "__main__":
    main()
