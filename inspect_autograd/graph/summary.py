"""Summary: a graph in a few numbers."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .records import Truncation
from .tensor_meta import format_bytes
from .topology import topological_order

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Summary", "summarize"]


@dataclass(frozen=True, slots=True)
class Summary:
    """A graph in a few numbers.

    Attributes:
        nodes: Number of nodes.
        edges: Number of edges, None edges not counted.
        roots: Number of roots.
        depth: Edges on the longest way from a root to a leaf.
        leaves: Number of AccumulateGrad nodes.
        named_leaves: How many of these have a name.
        names: Node names and how often each occurs, most frequent first.
        saved_tensors: How many tensors the nodes save, by state.
        saved_bytes: Bytes those keep allocated, each storage once.
        parameter_bytes: The part of `saved_bytes` that named parameters and buffers own.
        truncation: None, or how the walk was cut.
    """

    nodes: int
    edges: int
    roots: int
    depth: int
    leaves: int
    named_leaves: int
    names: tuple[tuple[str, int], ...]
    saved_tensors: dict[str, int]
    saved_bytes: int
    parameter_bytes: int
    truncation: Truncation | None

    def __str__(self) -> str:
        shown = ", ".join(f"{name} ×{count}" for name, count in self.names[:6])
        more = f", and {len(self.names) - 6} more kinds" if len(self.names) > 6 else ""
        lines = [
            ", ".join(
                [
                    _plural(self.nodes, "node"),
                    _plural(self.edges, "edge"),
                    _plural(self.roots, "root"),
                    f"depth {self.depth}",
                ]
            ),
            f"nodes   {shown}{more}",
            f"leaves  {self.leaves}, of which {self.named_leaves} named",
        ]
        if self.saved_tensors:
            states = ", ".join(f"{count} {state}" for state, count in self.saved_tensors.items())
            lines.append(
                f"saved   {states}; they keep {format_bytes(self.saved_bytes)}, "
                f"{format_bytes(self.parameter_bytes)} of it in named parameters and buffers"
            )
        if self.truncation:
            lines.append(str(self.truncation))
        return "\n".join(lines)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def summarize(graph: Graph) -> Summary:
    """Count what there is in a graph."""
    table = graph.node_table
    tensors = [tensor for saved in table.saved.values() for tensor in saved]
    used = {tensor.storage for tensor in tensors}
    leaves = graph.leaves()
    return Summary(
        nodes=len(graph),
        edges=len(graph.edge_table),
        roots=len(graph.roots),
        depth=_depth(graph),
        leaves=len(leaves),
        named_leaves=sum(1 for leaf in leaves if leaf.parameter and leaf.parameter.names),
        names=tuple(Counter(table.names).most_common()),
        saved_tensors=dict(sorted(Counter(tensor.state for tensor in tensors).items())),
        saved_bytes=graph.saved_bytes(),
        parameter_bytes=sum(
            storage.bytes
            for index, storage in enumerate(graph.storages)
            if index in used and storage.names
        ),
        truncation=graph.truncation,
    )


def _depth(graph: Graph) -> int:
    edges = graph.edge_table
    starts, targets = edges.starts, edges.targets
    depth = array("q", bytes(8 * len(graph)))
    for node in topological_order(edges):
        below = depth[node] + 1
        for target in targets[starts[node] : starts[node + 1]]:
            if depth[target] < below:
                depth[target] = below
    return max(depth, default=0)
