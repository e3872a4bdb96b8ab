"""Graphs, as far as the automaton of a pattern needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


def components(graph: Mapping[T, Iterable[T]]) -> list[frozenset[T]]:
    """Return the strongly connected components of a graph, given as the nodes that follow each node."""
    search = _Tarjan(graph)
    for root in graph:
        search.visit(root)
    return search.found


class _Tarjan(Generic[T]):
    """Tarjan's algorithm, without recursion."""

    def __init__(self, graph: Mapping[T, Iterable[T]]) -> None:
        self._graph = graph
        self._order: dict[T, int] = {}
        self._lowest: dict[T, int] = {}
        self._open: list[T] = []
        self._is_open: set[T] = set()
        self.found: list[frozenset[T]] = []

    def visit(self, root: T) -> None:
        """Find the components that can be reached from a node and have not been found yet."""
        if root in self._order:
            return
        walk = [self._enter(root)]
        while walk:
            node, following = walk[-1]
            after = self._next_new(node, following)
            if after is not None:
                walk.append(self._enter(after[0]))
                continue
            walk.pop()
            if walk:
                above = walk[-1][0]
                self._lowest[above] = min(self._lowest[above], self._lowest[node])
            if self._lowest[node] == self._order[node]:
                self._close(node)

    def _enter(self, node: T) -> tuple[T, Iterator[T]]:
        self._order[node] = self._lowest[node] = len(self._order)
        self._open.append(node)
        self._is_open.add(node)
        return node, iter(self._graph[node])

    def _next_new(self, node: T, following: Iterator[T]) -> tuple[T] | None:
        """Return the next node that has not been entered; look at the open ones before it."""
        for after in following:
            if after not in self._order:
                return (after,)
            if after in self._is_open:
                self._lowest[node] = min(self._lowest[node], self._order[after])
        return None

    def _close(self, node: T) -> None:
        start = self._open.index(node)
        component = self._open[start:]
        del self._open[start:]
        self._is_open.difference_update(component)
        self.found.append(frozenset(component))
