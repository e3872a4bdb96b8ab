"""Components of graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowproxy.text.patterns.graphs import components


def test_nodes_that_lead_to_each_other_are_one_component() -> None:
    graph = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": [], "e": ["d"]}

    assert set(components(graph)) == {frozenset("abc"), frozenset("d"), frozenset("e")}


def reachable(graph: dict[int, set[int]], start: int) -> set[int]:
    seen, waiting = {start}, [start]
    while waiting:
        for after in graph[waiting.pop()] - seen:
            seen.add(after)
            waiting.append(after)
    return seen


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_components_are_the_nodes_that_reach_each_other(edges: list[tuple[int, int]]) -> None:
    graph: dict[int, set[int]] = {node: set() for node in range(7)}
    for before, after in edges:
        graph[before].add(after)
    reach = {node: reachable(graph, node) for node in graph}

    expected = {frozenset(other for other in graph if other in reach[node] and node in reach[other]) for node in graph}
    assert set(components(graph)) == expected
