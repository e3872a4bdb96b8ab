"""Requests per second through very many routes, beside a hand-written HAProxy with one: `make bench-routing`."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from bench.cluster import FEW_HEADERS, HEADERS, Cluster, Reference, address, cluster, folder
from support import eventually

GOAL = 0.95
CONNECTIONS = 32


@click.command()
@click.option("--sizes", default="1,100,1000,10000", show_default=True, help="Numbers of routed services.")
@click.option("--seconds", default=4, show_default=True, help="Of each run of wrk.")
@click.option("--rounds", default=5, show_default=True, help="Runs of each, in alternation with the reference.")
@click.option("--routes", default="last,middle,missing", show_default=True, help="Which routes are asked for.")
@click.option("--few-headers", is_flag=True, help="Let the reference write only X-Forwarded-For and -Proto.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("bench-routing.json"), show_default=True)
def main(sizes: str, seconds: int, rounds: int, routes: str, few_headers: bool, output: Path) -> None:
    """Prints a line for each measurement, and writes all of them as JSON."""
    results: list[dict[str, Any]] = []
    # Listing all workers for a minute is not what is measured here, so nothing is tidied up meanwhile.
    with cluster(FLOWPROXY_TIDY_AFTER="100000") as ours, folder() as place:
        reference = Reference(place, ours.origin, headers=FEW_HEADERS if few_headers else HEADERS)
        with reference.running():
            for size in map(int, sizes.split(",")):
                ours.grow(size)
                ours.controller.api("/v1/reload")
                results += _measured(ours, reference, size, seconds, rounds, routes.split(","))
    output.write_text(json.dumps(results, indent=1))


def _measured(
    ours: Cluster, reference: Reference, size: int, seconds: int, rounds: int, routes: list[str]
) -> list[dict[str, Any]]:
    last = max((n for n in range(size) if n % 100 != 99), key=address)
    asked = {
        "last": (*address(last), "/web/page"),
        "middle": (*address(size // 2 - (size // 2 % 100 == 99)), "/web/page"),
        "missing": ("nobody.example.org", "/nothing", "/nothing"),
    }
    eventually(lambda: ours.answers(last), within=30)
    results = []
    for route in routes:
        host, path, reference_path = asked[route]
        for tls in (False, True):
            pairs = []
            for _ in range(rounds):
                theirs = _requests_per_second(
                    reference.tls if tls else reference.plain, host, reference_path, tls, seconds
                )
                mine = _requests_per_second(ours.tls if tls else ours.controller.traffic, host, path, tls, seconds)
                pairs.append((mine, theirs))
            result = {
                "services": size,
                "route": route,
                "tls": tls,
                "ours": statistics.median(pair[0] for pair in pairs),
                "reference": statistics.median(pair[1] for pair in pairs),
                "ratio": statistics.median(pair[0] / pair[1] for pair in pairs),
            }
            results.append(result)
            sys.stdout.write(
                f"{size:6} services, {route:8}{'TLS' if tls else 'plain':6} {result['ours']:9.0f}/s, reference"
                f" {result['reference']:9.0f}/s, ratio {result['ratio']:.2f} (goal {GOAL})\n"
            )
            sys.stdout.flush()
    return results


def _requests_per_second(port: int, host: str, path: str, tls: bool, seconds: int) -> float:
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {host}", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    assert found, said
    assert "Socket errors" not in said, said
    return float(found[1])


if __name__ == "__main__":
    main()
