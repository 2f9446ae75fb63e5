"""A graph as a tree, in which every node stands once: the order in which text lists it.

A graph is not a tree: a residual connection leads to a node that the main path reaches too. Of
all edges into a node, the tree keeps one on the longest way from a root. So a node stands where
the main path comes to it, and a shortcut only refers to it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..graph.graph import Graph
from ..graph.topology import topological_order

__all__ = ["Step", "count_steps", "walk_tree"]


MIN_TRUNK = 4
"""Nodes that a continuation has at least to stand at the level of what it continues."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a tree.

    Attributes:
        node: The node that stands here, or that is referred to.
        edges: Positions in the edge table of the edges that lead here; none for a root.
        bars: For each level around it, whether that level goes on further down.
        branch: `root`; `next`, what the node above simply goes on to; `side`, a branch after
            which its level goes on; `last`, a branch that ends its level.
        refers: None where the node stands here; else whether it stands `above` or `below`.
    """

    node: int
    edges: tuple[int, ...] = ()
    bars: tuple[bool, ...] = ()
    branch: Literal["root", "next", "side", "last"] = "root"
    refers: Literal["above", "below"] | None = None

    @property
    def inner_bars(self) -> tuple[bool, ...]:
        """The bars of what follows from this line."""
        if self.branch in ("root", "next"):
            return self.bars
        return (*self.bars, self.branch == "side")


def walk_tree(graph: Graph) -> Iterator[Step]:
    """The lines of the tree, roots first; with an explicit stack, so depth does not matter.

    Side branches are indented; the largest continuation stays at the same level, after them. So
    a chain reads as a list, and `n` nodes are never nested deeper than about `log2(n)` levels.
    """
    parents, sizes = _span(graph)
    listed = bytearray(len(graph))
    for start in _starts(graph):
        pending = [Step(start)]
        while pending:
            step = pending.pop()
            if listed[step.node]:
                yield replace(step, refers="above")
            elif step.edges and parents[step.node] != graph.edge_table.sources[step.edges[0]]:
                yield replace(step, refers="below")
            else:
                listed[step.node] = 1
                yield step
                pending += reversed(_children(graph, step, parents, sizes))


def count_steps(graph: Graph) -> int:
    """How many lines `walk_tree` yields, without walking."""
    edges = graph.edge_table
    return len({*zip(edges.sources, edges.targets, strict=True)}) + len(_starts(graph))


def _starts(graph: Graph) -> list[int]:
    """Where to begin: the roots in their order, then what no edge leads to."""
    entered = bytearray(len(graph))
    for target in graph.edge_table.targets:
        entered[target] = 1
    orphans = (id for id in range(len(graph)) if not entered[id])
    return [*dict.fromkeys([*(root.node for root in graph.roots), *orphans])]


def _span(graph: Graph) -> tuple[Sequence[int], Sequence[int]]:
    """For each node its parent in the tree, -1 for none, and how many nodes hang from it."""
    edges = graph.edge_table
    order = topological_order(edges)
    depths = array("q", bytes(8 * len(graph)))
    parents = array("q", [-1]) * len(graph)
    for id in order:
        below = depths[id] + 1
        for target in edges.targets[edges.starts[id] : edges.starts[id + 1]]:
            if depths[target] < below:
                depths[target] = below
                parents[target] = id
    sizes = array("q", [1]) * len(graph)
    for id in reversed(order):
        if parents[id] >= 0:
            sizes[parents[id]] += sizes[id]
    return parents, sizes


def _children(graph: Graph, step: Step, parents: Sequence[int], sizes: Sequence[int]) -> list[Step]:
    edges = graph.edge_table
    groups: dict[int, list[int]] = {}
    for position in range(edges.starts[step.node], edges.starts[step.node + 1]):
        groups.setdefault(edges.targets[position], []).append(position)
    bars = step.inner_bars
    own = [target for target in groups if parents[target] == step.node]
    trunk = max(own, key=lambda target: sizes[target], default=None)
    if trunk is not None and sizes[trunk] < MIN_TRUNK:
        trunk = None  # A transposed weight and its leaf are a branch like the others.
    if len(groups) == 1:
        (trunk,) = groups
    sides = [target for target in groups if target != trunk]
    steps = [Step(target, tuple(groups[target]), bars, "side") for target in sides]
    if trunk is not None:
        return [*steps, Step(trunk, tuple(groups[trunk]), bars, "next")]
    return [*steps[:-1], *(replace(last, branch="last") for last in steps[-1:])]
