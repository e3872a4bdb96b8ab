"""What a change costs the controller, at many sizes: `make bench-control`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from bench.cluster import Cluster, Reference, check_seconds, cluster, folder, parameters
from support import eventually

GOALS = {1: 60, 1000: 60, 10000: 300}
CALLS = 40


@click.command()
@click.option("--sizes", default="1,1000,10000", show_default=True, help="Numbers of services.")
@click.option("--churn", default=60, show_default=True, help="Seconds of continuous change.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("bench-control.json"), show_default=True)
def main(sizes: str, churn: int, output: Path) -> None:
    """Prints a line for each measurement, and writes all of them as JSON."""
    results: dict[str, Any] = {"sizes": [_measured(int(size)) for size in sizes.split(",")]}
    results["burst"] = _burst(1000)
    if churn:
        results["churn"] = _churn(1000, churn)
    output.write_text(json.dumps(results, indent=1))


def _measured(size: int) -> dict[str, Any]:
    with cluster() as ours:
        registered = ours.grow(size)
        result: dict[str, Any] = {"services": size, "registered_seconds": registered, "changes": {}}
        for name, change in _changes(ours).items():
            result["changes"][name] = _timed(ours, name, change, size)
        peak = ours.process.memory_info().rss
        configuration = ours.controller.folder / "haproxy.cfg"
        result |= {
            "controller_mb": peak / 2**20,
            "worker_mb": max(worker.memory_info().rss for worker in ours.workers()) / 2**20,
            "configuration_kb": configuration.stat().st_size / 1024,
            "check_seconds": check_seconds(configuration),
            "cold_start_seconds": _cold_start(ours, size),
            **_reference(ours, size),
        }
        _say(
            f"{size:6} services: controller {result['controller_mb']:.0f} MB (goal 200), worker"
            f" {result['worker_mb']:.0f} MB, haproxy.cfg {result['configuration_kb']:.0f} KB, haproxy -c"
            f" {result['check_seconds']:.2f} s (reference {result['reference_check_seconds']:.2f} s), cold start"
            f" {result['cold_start_seconds']:.1f} s (goal 5), bare reload {result['reference_reload_ms']:.0f} ms"
        )
        return result


def _changes(ours: Cluster) -> dict[str, Callable[[int], dict[str, str] | str]]:
    """Each gives the parameters of a call, or the name of a service to remove."""
    base = parameters(0, ours.origin)

    def added(number: int) -> dict[str, str]:
        return {**base, "serviceName": f"new{number}", "serviceDomain": f"new{number}.example.org"}

    return {
        "add": added,
        "path": lambda number: {**base, "servicePath": f"/,/another{number}"},
        "scale": lambda number: {**parameters(0, ours.origin), "outboundHostname": f"127.0.0.{2 + number % 200}"},
        "remove": lambda number: f"new{number}",
        "header": lambda number: {**base, "setReqHeader": f"X-Number %[int({number})]"},
    }


def _timed(ours: Cluster, name: str, change: Callable[[int], dict[str, str] | str], size: int) -> dict[str, float]:
    before, cpu = ours.controller.status["reloads"], sum(ours.process.cpu_times()[:2])
    times = sorted(_call(ours, change(number)) for number in range(CALLS))
    result = {
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
        "reloads": ours.controller.status["reloads"] - before,
        "cpu_ms": (sum(ours.process.cpu_times()[:2]) - cpu) / CALLS * 1000,
    }
    _say(
        f"{size:6} services, {name:8} p50 {result['p50_ms']:7.1f} ms (goal {GOALS.get(size, 300)}), p99"
        f" {result['p99_ms']:7.1f} ms, {result['reloads']:.0f} reloads in {CALLS}, CPU {result['cpu_ms']:.0f} ms"
    )
    return result


def _call(ours: Cluster, asked: dict[str, str] | str) -> float:
    began = time.monotonic()
    if isinstance(asked, str):
        answer = ours.controller.api("/v1/remove", serviceName=asked)
    else:
        answer = ours.controller.api("/v1/reconfigure", **asked)
    assert answer.status == 200, answer.text
    return time.monotonic() - began


def _cold_start(ours: Cluster, size: int) -> float:
    """From the start of the process to an answer by the service that was registered last but one."""
    ours.controller.end()
    last = max(0, size - 2)
    began = time.monotonic()
    ours.controller.launch(**{key: value for key, value in ours.controller.environment.items() if key != "PATH"})
    eventually(lambda: ours.answers(last), within=60)
    return time.monotonic() - began


def _reference(ours: Cluster, size: int) -> dict[str, float]:
    """The same HAProxy with a hand-written backend for each service."""
    more = "".join(f"backend b{n}\n    server one 127.0.0.1:{ours.origin} check inter 30s\n" for n in range(size))
    with folder() as place:
        reference = Reference(place, ours.origin, more)
        with reference.running():
            reloads = sorted(reference.reload(f"d{number}") for number in range(5))
            return {"reference_reload_ms": reloads[2] * 1000, "reference_check_seconds": reference.check()}


def _burst(size: int) -> dict[str, float]:
    with cluster() as ours:
        seconds = ours.grow(size)
        reloads = ours.controller.status["reloads"]
    _say(f"{size} services at once: live after {seconds:.2f} s (goal 3), {reloads} reloads (goal 5)")
    return {"services": size, "seconds": seconds, "reloads": reloads}


def _churn(size: int, seconds: int) -> dict[str, float]:
    """Ten changes a second: routes, services that come and go, and once a second something that needs a reload."""
    with cluster() as ours:
        ours.grow(size)
        before = ours.controller.status["reloads"]
        changes = _changes(ours)
        kinds = ("add", "path", "scale", "add", "path", "remove", "scale", "path", "remove", "header")
        most, over = 0, threading.Event()

        def count() -> None:
            nonlocal most
            while not over.wait(0.2):
                most = max(most, len(ours.workers()))

        counter = threading.Thread(target=count)
        counter.start()
        times = []
        began = time.monotonic()
        for number in range(seconds * 10):
            kind = kinds[number % len(kinds)]
            over.wait(max(0.0, began + number / 10 - time.monotonic()))
            times.append(_call(ours, changes[kind](number // len(kinds) * 2 + (kind == kinds[3]))))
        took = time.monotonic() - began
        over.set()
        counter.join()
        times.sort()
        result = {
            "seconds": took,
            "p50_ms": times[len(times) // 2] * 1000,
            "p99_ms": times[int(len(times) * 0.99)] * 1000,
            "reloads": ours.controller.status["reloads"] - before,
            "most_workers": most,
        }
    _say(
        f"10 changes a second for {seconds} s at {size} services: took {took:.0f} s, p50 {result['p50_ms']:.0f} ms, p99"
        f" {result['p99_ms']:.0f} ms (goal 250), {result['reloads']} reloads, at most {most} workers at once"
    )
    return result


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
