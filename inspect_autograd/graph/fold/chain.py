"""Folding linear chains: nodes in a row, each with one way in and one way out."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .labels import common_scope, count_names, format_names, plural
from .periods import find_free, find_periodic
from .quotient import Box, quotient

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["fold_chains"]

MIN_LENGTH = 3
"""A chain of two nodes as one box saves nothing worth what it hides."""

MAX_PERIOD = 8
"""Longest pattern that is looked for in a chain and named in a label."""

OWN_BOX_LENGTH = 16
"""A regular stretch of a chain of this many nodes gets a box of its own, whatever is around it."""


def fold_chains(graph: Graph) -> Graph:
    """The graph with every linear chain of three or more nodes made one.

    Leaves stay out. Roots, and nodes where the walk was cut, stand at the ends of chains only.
    A stretch of one name (`MulBackward0 ×20000`) or one pattern
    (`(MulBackward0 → AddBackward0) ×10000`) gets its own box where it makes up half of its
    chain or is long; the rest of a chain is labelled by what is in it.
    """
    boxes = [box for run in _find_runs(graph) for box in _cut_into_boxes(graph, run)]
    nodes = sum(len(box.members) for box in boxes)
    text = f"folded {plural(nodes, 'node')} in {plural(len(boxes), 'linear chain')}"
    return quotient(graph, boxes, by="chain", text=text)


def _find_runs(graph: Graph) -> list[list[int]]:
    """Maximal linear runs, each from the loss towards the leaves."""
    following = _find_followers(graph)
    is_followed = bytearray(len(graph))
    for target in following:
        if target >= 0:
            is_followed[target] = 1
    runs = []
    for node, target in enumerate(following):
        if target >= 0 and not is_followed[node]:
            run = [node]
            while following[run[-1]] >= 0:
                run.append(following[run[-1]])
            if len(run) >= MIN_LENGTH:
                runs.append(run)
    return runs


def _find_followers(graph: Graph) -> array[int]:
    """For each node the next one of its chain, -1 where the chain ends."""
    table, edges = graph.node_table, graph.edge_table
    ways_in = array("q", bytes(8 * len(graph)))
    for target in edges.targets:
        ways_in[target] += 1
    for root in graph.roots:
        ways_in[root.node] += 1  # A gradient comes in from the outside.
    starts, targets = edges.starts, edges.targets
    following = array("q", [-1]) * len(graph)
    for node, kind in enumerate(table.kinds):
        if kind != "leaf" and starts[node + 1] - starts[node] == 1:
            target = targets[starts[node]]
            if ways_in[target] == 1 and table.kinds[target] != "leaf":
                following[node] = target
    for node in table.cut_slots:
        following[node] = -1
    _stop_at_repeats(graph, following)
    return following


def _stop_at_repeats(graph: Graph, following: array[int]) -> None:
    """Links between the copies of a run are ways in and out too; a chain stays on one side."""
    for repeat in graph.repeats:
        inside = set(repeat.nodes)
        sources = {link.source for link in repeat.links}
        ends = {link.target for link in repeat.links}
        for node, target in enumerate(following):
            crosses = (node in inside) != (target in inside)
            if target >= 0 and (crosses or node in sources or target in ends):
                following[node] = -1


def _cut_into_boxes(graph: Graph, run: list[int]) -> list[Box]:
    table = graph.node_table
    names = [table.names[node] for node in run]
    boxes = []
    start = 0
    for first, end, period in [*_find_periodic(names), (len(run), len(run), 1)]:
        if first - start >= MIN_LENGTH:
            boxes.append(_box(graph, run[start:first], 0))
        if end > first:
            boxes.append(_box(graph, run[first:end], period))
        start = end
    return boxes


def _box(graph: Graph, run: list[int], period: int) -> Box:
    """The box of one stretch; `period` is 0 where it has no pattern."""
    table = graph.node_table
    members = sorted(run)
    scope = common_scope(table, run)
    if not period:
        inside = format_names(count_names(table, run))
        return Box(members, "chain", f"chain of {len(run)}: {inside}", len(run), scope)
    count = len(run) // period
    pattern = [table.names[node] for node in run[:period]]
    label = pattern[0] if period == 1 else f"({' → '.join(pattern)})"
    return Box(members, "chain", f"{label} ×{count}", len(run) if period == 1 else count, scope)


def _find_periodic(names: Sequence[str]) -> list[tuple[int, int, int]]:
    """Stretches `(start, end, period)` worth a box of their own, apart and in order.

    Each is a whole number of periods long.
    """
    found = []
    for period in range(1, min(MAX_PERIOD, len(names) // 2) + 1):
        found += [
            (start, end, period)
            for start, end in find_periodic(names, period)
            if end - start >= max(2 * period, MIN_LENGTH)
        ]
        if found and found[-1][1] - found[-1][0] == len(names):
            break  # Nothing is longer, and a longer period would not read better.
    found.sort(key=lambda stretch: (stretch[0] - stretch[1], stretch[2], stretch[0]))
    chosen = []
    taken = bytearray(len(names))
    for first, last, period in found:
        if last - first < OWN_BOX_LENGTH and 2 * (last - first) < len(names):
            break
        start, end = find_free(taken, first, last)
        end -= (end - start) % period
        if end - start >= max(2 * period, MIN_LENGTH):
            chosen.append((start, end, period))
            taken[start:end] = b"\1" * (end - start)
    return sorted(chosen)
