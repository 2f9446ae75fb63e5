"""Folding neighbours in topological order: the last resort, which always works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..topology import topological_order
from .labels import common_scope, count_names, format_names, plural
from .quotient import Box, quotient

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["fold_bands"]

DEFAULT_BANDS = 50


def fold_bands(graph: Graph, depth: int = DEFAULT_BANDS) -> Graph:
    """The graph in at most `depth` nodes, whatever its shape.

    Each band is a stretch of the topological order, so gradients only flow from an earlier band
    to a later one and no cycle can arise.
    """
    size = len(graph)
    if size <= depth:
        return graph
    table, order = graph.node_table, topological_order(graph.edge_table)
    boxes = []
    for band in range(depth):
        members = sorted(order[band * size // depth : (band + 1) * size // depth])
        names = count_names(table, members)
        nodes = sum(count for _, count in names)
        label = f"{plural(nodes, 'node')}: {format_names(names)}"
        boxes.append(Box(members, "band", label, 1, common_scope(table, members)))
    text = f"folded {size} nodes in {plural(depth, 'band')} of the topological order"
    return quotient(graph, boxes, by="band", text=text)
