"""Order and reach in a graph, computed on the edge columns, without recursion."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable

from .tables import EdgeTable

__all__ = [
    "find_path",
    "find_reachable",
    "reverse_edges",
    "topological_order",
]


def reverse_edges(edges: EdgeTable) -> tuple[array[int], array[int]]:
    """The edges by target: `(starts, positions)`.

    The edges that lead into node `i` stand in the table at
    `positions[starts[i]]` to `positions[starts[i + 1] - 1]`, in the order of their sources.
    """
    starts = array("q", bytes(8 * len(edges.starts)))
    for target in edges.targets:
        starts[target + 1] += 1
    for node in range(len(starts) - 1):
        starts[node + 1] += starts[node]
    free = starts[:]
    positions = array("q", bytes(8 * len(edges)))
    for position, target in enumerate(edges.targets):
        positions[free[target]] = position
        free[target] += 1
    return starts, positions


def topological_order(edges: EdgeTable) -> array[int]:
    """Node ids such that every edge leads from an earlier to a later one (Kahn's algorithm).

    Nodes come in the order in which they become ready, lowest id first at the start, so that the
    order is the same in every run. Nodes on a cycle are left out; an autograd graph has none.
    """
    waiting = array("q", bytes(8 * (len(edges.starts) - 1)))
    for target in edges.targets:
        waiting[target] += 1
    starts, targets = edges.starts, edges.targets
    order = array("q", (node for node, count in enumerate(waiting) if count == 0))
    for node in order:  # The array grows while it is read.
        for target in targets[starts[node] : starts[node + 1]]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order


def find_reachable(starts: array[int], neighbours: array[int], origins: Iterable[int]) -> set[int]:
    """All nodes that can be reached from `origins`, which are part of the answer."""
    seen = set(origins)
    pending = list(seen)
    while pending:
        node = pending.pop()
        for target in neighbours[starts[node] : starts[node + 1]]:
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen


def find_path(edges: EdgeTable, origin: int, goal: int) -> list[int]:
    """A shortest way along the edges, both ends included; empty if there is none."""
    came_from = {origin: origin}
    pending = deque([origin])
    while pending and goal not in came_from:
        node = pending.popleft()
        for target in edges.targets[edges.starts[node] : edges.starts[node + 1]]:
            if target not in came_from:
                came_from[target] = node
                pending.append(target)
    if goal not in came_from:
        return []
    path = [goal]
    while path[-1] != origin:
        path.append(came_from[path[-1]])
    return path[::-1]
