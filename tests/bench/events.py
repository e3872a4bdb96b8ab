"""From a change in a real Swarm to the route that shows it, at many sizes: the second half of `make bench-control`.

The services that are only there to be many are global and placed on no node: they have no tasks that wait, all of which
Docker's scheduler would look at whenever a service comes. What is measured from the call to Docker has
Docker's own part in it. Scaling is measured from the moment that the new task runs by Docker's clock, and from the
moment that it is ready: the Swarm lists it as running, which is the first that anybody can know of it, and it listens.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from support import eventually, free_port
from swarm import images, testbed
from swarm.client import answers, get
from swarm.testbed import Swarm

T = TypeVar("T")

CALLS, TASKS = 20, 11
# Where a route leads that needs no container: the proxy's own API, which has no such path and says 404.
NOWHERE = {"outboundHostname": "127.0.0.1", "port": "8080"}
SCALED = "scaled"


@click.command()
@click.option("--sizes", default="1,1000,10000", show_default=True, help="Numbers of services.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("bench-events.json"), show_default=True)
def main(sizes: str, output: Path) -> None:
    """Prints a line for each measurement, and writes all of them as JSON."""
    if missing := testbed.missing_requirement():
        _say(f"nothing is measured from Swarm events: {missing}")
        return
    results = []
    with testbed.running_swarm() as swarm, ThreadPoolExecutor(8) as threads:
        proxy = _Proxy(swarm)
        for size in map(int, sizes.split(",")):
            missing_services = range(proxy.services(), size)
            list(threads.map(lambda number: proxy.create(f"one{number}", f"/one{number}"), missing_services))
            eventually(partial(proxy.routes, size), within=300)
            _add(proxy, f"at{size}-first")  # and is done with what led there
            reloads = proxy.status()["reloads"]
            for name, times in _measures(proxy, f"at{size}-"):
                before, reloads = reloads, proxy.status()["reloads"]
                results.append(_measured(size, name, times, reloads - before))
        swarm.clear()
    output.write_text(json.dumps(results, indent=1))


class _Proxy:
    """Flowproxy as a service, as its users run it, and one service with tasks beside it."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        images.load_base(swarm)
        flowproxy, origin = images.build_flowproxy(swarm), images.build_origin(swarm)
        self.traffic, self.port = free_port(), free_port()
        swarm.docker("network", "create", "--driver", "overlay", "proxy")
        common = "--detach --no-resolve-image --network proxy --endpoint-mode dnsrr"
        ports = "".join(
            f" --publish mode=host,published={here},target={there}"
            for here, there in ((self.traffic, 80), (self.port, 8080))
        )
        socket = f"--mount type=bind,source={swarm.socket},target=/var/run/docker.sock,readonly"
        swarm.docker("service", "create", *f"{common} --name proxy --user root{ports} {socket}".split(), flowproxy)
        labels = f"--label com.df.notify=true --label com.df.servicePath=/{SCALED} --label com.df.port=8080"
        swarm.docker("service", "create", *f"{common} --name {SCALED} {labels}".split(), origin)
        eventually(answers(self._url(f"/{SCALED}/hello")), within=60)

    def routes(self, size: int) -> bool:
        return self.services() >= size

    def services(self) -> int:
        """How many have a route."""
        return int(self.status()["services"])

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(get(f"http://127.0.0.1:{self.port}/v1/status").text)
        return answer

    def create(self, name: str, path: str) -> None:
        self._post("/services/create", _specification(name, path))

    def update(self, name: str, path: str) -> None:
        version = self.swarm.api.inspect_service(name)["Version"]["Index"]
        self._post(f"/services/{name}/update?version={version}", _specification(name, path))

    def remove(self, name: str) -> None:
        self.swarm.api.remove_service(name)

    def routed(self, path: str) -> bool:
        return get(self._url(path)).status != 503

    def listening_since(self, container: str) -> float | None:
        """What this container answers; None when another one did."""
        who, _, since = get(self._url(f"/{SCALED}/since")).text.strip().partition(" ")
        return float(since) if who == container[:12] else None

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.traffic}{path}"

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self.swarm.api._post_json(self.swarm.api._url(path), data=body).raise_for_status()


def _specification(name: str, path: str) -> dict[str, Any]:
    given = {"notify": "true", "servicePath": path, **NOWHERE}
    return {
        "Name": name,
        "Labels": {f"com.df.{key}": value for key, value in given.items()},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "nobody/runs-this"},
            "Placement": {"Constraints": ["node.labels.nowhere==true"]},
        },
        "Mode": {"Global": {}},
    }


def _measures(proxy: _Proxy, prefix: str) -> Iterator[tuple[str, list[float]]]:
    """Each in seconds, one for each change."""
    names = [f"{prefix}{number:02}" for number in range(CALLS)]
    yield "add", [_add(proxy, name) for name in names]
    yield "change", [_change(proxy, name) for name in names]
    yield "remove", [_remove(proxy, name) for name in names]
    scaled = list(_scale(proxy))
    yield "scale", [by_clock for by_clock, _ in scaled]
    yield "scale, once ready", [once_ready for _, once_ready in scaled]


def _add(proxy: _Proxy, name: str) -> float:
    return _until(lambda: proxy.routed(f"/{name}"), lambda: proxy.create(name, f"/{name}"))


def _change(proxy: _Proxy, name: str) -> float:
    return _until(lambda: proxy.routed(f"/changed-{name}"), lambda: proxy.update(name, f"/changed-{name}"))


def _remove(proxy: _Proxy, name: str) -> float:
    return _until(lambda: not proxy.routed(f"/changed-{name}"), lambda: proxy.remove(name))


def _until(condition: Callable[[], bool], act: Callable[[], None]) -> float:
    began = time.monotonic()
    act()
    _wait(condition)
    return time.monotonic() - began


def _wait(condition: Callable[[], T | None]) -> T:
    """Asks without a pause: what is measured is a matter of milliseconds."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing has changed for a minute"
    return found


def _scale(proxy: _Proxy) -> Iterator[tuple[float, float]]:
    swarm, known = proxy.swarm, set(proxy.swarm.containers(SCALED))
    for count in range(2, TASKS + 1):
        swarm.docker("service", "scale", "--detach", f"{SCALED}={count}")
        _wait(partial(_runs, swarm, count))
        listed = time.time()
        tasks = {task["Status"]["ContainerStatus"]["ContainerID"]: task for task in swarm.tasks(SCALED)}
        (new,) = tasks.keys() - known
        known.add(new)
        listening = _wait(partial(proxy.listening_since, new))
        answered = time.time()
        yield answered - _seconds(tasks[new]["Status"]["Timestamp"]), answered - max(listed, listening)
    swarm.docker("service", "scale", "--detach", f"{SCALED}=1")
    eventually(lambda: len(swarm.api.containers(filters={"name": f"{SCALED}."})) == 1, within=60)


def _runs(swarm: Swarm, count: int) -> bool:
    return len(swarm.tasks(SCALED)) == count


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _measured(size: int, name: str, times: list[float], reloads: int) -> dict[str, Any]:
    times = sorted(times)
    worst = times[math.ceil(len(times) * 0.99) - 1]
    p50, p99 = times[len(times) // 2] * 1000, worst * 1000
    result = {"services": size, "change": name, "p50_ms": p50, "p99_ms": p99, "reloads": reloads}
    figures = f"p50 {p50:6.0f} ms, p99 {p99:6.0f} ms in {len(times)} changes, {reloads} reloads"
    _say(f"{size:6} services, {name:18} {figures}")
    return result


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
