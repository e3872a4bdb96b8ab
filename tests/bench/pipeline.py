"""CPU time of compile, render and plan: `python tests/bench/pipeline.py`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from configurations import RENDERER

from flowproxy.control.pipeline import Memory, Pipeline, Wanted
from flowproxy.haproxy.plan import Running
from flowproxy.services.model import Endpoint
from flowproxy.services.parse import parse
from flowproxy.services.registry import Entry, Origin, Registry

ROUNDS = 8


def entry(number: int, **more: str) -> Entry:
    name = f"s{number}"
    given = {"serviceName": name, "serviceDomain": f"{name}.example.org", "servicePath": f"/{name}", "port": "80"}
    given |= {"httpsOnly": "true"} if number % 3 == 0 else {}
    given |= {"timeoutServer": str(number % 50 + 1)} if number % 7 == 0 else {}
    return Entry(parse(given | more), Origin.API, float(number), given | more)


def endpoint(number: int) -> Endpoint:
    return Endpoint.of_address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def registered(services: int) -> Registry:
    registry = Registry()
    for number in range(services):
        registry.put(entry(number))
        registry.place(f"s{number}", [endpoint(number), endpoint(number + services)])
    return registry


def main() -> None:
    changes: dict[str, Callable[[Registry, int], object]] = {
        "nothing": lambda registry, number: registry.touch(),
        "a server": lambda registry, number: registry.place("s5", [endpoint(number)]),
        "a header": lambda registry, number: registry.put(entry(4, setReqHeader=f"X-Number {number}")),
    }
    for services in (1_000, 10_000):
        registry, pipeline, memory = registered(services), Pipeline(RENDERER), Memory()
        began = time.process_time()
        planned = pipeline.plan(Wanted.of(registry.snapshot()), None, memory)
        said = [f"everything {(time.process_time() - began) * 1000:.0f} ms"]
        running = Running.fresh(planned.configuration)
        for name, change in changes.items():
            taken = []
            for number in range(ROUNDS):
                change(registry, number)
                began = time.process_time()
                planned = pipeline.plan(Wanted.of(registry.snapshot()), running, memory)
                taken.append(time.process_time() - began)
                running = running.after(planned.plan, planned.configuration)
            said.append(f"{name} {min(taken) * 1000:.0f} ms")
        sys.stdout.write(f"{services} services: {', '.join(said)}\n")


if __name__ == "__main__":
    main()
