"""The figures of the benchmarks as tables for docs/performance.md, and as plots beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).parents[2] / "docs"
# Measured elsewhere, see docs/performance.md: requests per second by number of routes.
OTHERS = {
    "one ACL per service": {1: 61900, 100: 37800, 1000: 6100, 5000: 1160, 10000: 541},
    "Traefik 3.7": {1: 20300, 1000: 12600, 5000: 14100},
    "Caddy 2.11": {1: 16900, 1000: 6000, 5000: 1300},
}


@click.command()
@click.argument("routing", type=click.Path(exists=True, path_type=Path), default=Path("bench-routing.json"))
@click.argument("control", type=click.Path(exists=True, path_type=Path), default=Path("bench-control.json"))
@click.argument("events", type=click.Path(path_type=Path), default=Path("bench-events.json"))
def main(routing: Path, control: Path, events: Path) -> None:
    """Prints the tables and writes the plots. The events are left out where there was no Swarm."""
    routes, costs = json.loads(routing.read_text()), json.loads(control.read_text())
    seen = json.loads(events.read_text()) if events.exists() else []
    tables = [_routing_table(routes), _changes_table(costs), _sizes_table(costs), _events_table(seen)]
    sys.stdout.write("\n\n".join("\n".join(table) for table in tables) + "\n")
    _plot_routing(routes)
    _plot_changes(costs)


def _routing_table(results: list[dict[str, Any]]) -> list[str]:
    rows = [
        f"| {r['services']:,} | {r['route']} | {'yes' if r['tls'] else 'no'} | {r['ours']:,.0f} | {r['reference']:,.0f}"
        f" | {r['ratio']:.2f} |"
        for r in results
    ]
    return [
        "| services | route | TLS | Flowproxy | reference | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


def _changes_table(results: dict[str, Any]) -> list[str]:
    rows = [
        f"| {size['services']:,} | {name} | {change['p50_ms']:.0f} | {change['p99_ms']:.0f} | {change['reloads']}"
        f" | {change['cpu_ms']:.0f} |"
        for size in results["sizes"]
        for name, change in size["changes"].items()
    ]
    head = "| services | change | p50, ms | p99, ms | reloads in 40 calls | CPU of the controller, ms a call |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *rows]


def _sizes_table(results: dict[str, Any]) -> list[str]:
    rows = [
        f"| {r['services']:,} | {r['controller_mb']:.0f} | {r['worker_mb']:.0f} | {r['configuration_kb']:,.0f}"
        f" | {r['check_seconds']:.2f} | {r['reference_check_seconds']:.2f} | {r['cold_start_seconds']:.1f}"
        f" | {r['reference_reload_ms']:.0f} |"
        for r in results["sizes"]
    ]
    head = (
        "| services | controller, MB | HAProxy's worker, MB | haproxy.cfg, KB | `haproxy -c`, s | the same by hand, s"
        " | cold start, s | reload of the same by hand, ms |"
    )
    return [head, "| --- | --- | --- | --- | --- | --- | --- | --- |", *rows]


def _events_table(results: list[dict[str, Any]]) -> list[str]:
    rows = [
        f"| {r['services']:,} | {r['change']} | {r['p50_ms']:.0f} | {r['p99_ms']:.0f} | {r['reloads']} |"
        for r in results
    ]
    return ["| services | change | p50, ms | p99, ms | reloads |", "| --- | --- | --- | --- | --- |", *rows]


def _plot_routing(results: list[dict[str, Any]]) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for name, key in (("Flowproxy", "ours"), ("HAProxy by hand, one route", "reference")):
        chosen = [r for r in results if r["route"] == "last" and not r["tls"]]
        axes.plot([r["services"] for r in chosen], [r[key] for r in chosen], marker="o", label=name)
    for name, figures in OTHERS.items():
        axes.plot(list(figures), list(figures.values()), marker=".", linestyle="--", label=name)
    axes.set(xscale="log", xlabel="routed services", ylabel="requests per second, last route", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(DOCS / "performance-routing.svg", bbox_inches="tight")


def _plot_changes(results: dict[str, Any]) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    sizes = [size["services"] for size in results["sizes"]]
    for name in results["sizes"][0]["changes"]:
        latencies = [size["changes"][name]["p50_ms"] for size in results["sizes"]]
        axes.plot(sizes, latencies, marker="o", label=f"{name}, p50")
    reference = [size["reference_reload_ms"] for size in results["sizes"]]
    axes.plot(sizes, reference, linestyle="--", color="black", label="reload of HAProxy by hand")
    axes.set(xscale="log", yscale="log", xlabel="services", ylabel="milliseconds until the call is answered")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(DOCS / "performance-control.svg", bbox_inches="tight")


if __name__ == "__main__":
    main()
