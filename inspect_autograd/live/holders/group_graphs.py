"""Which nodes belong together: graphs that have more in common than leaves are one graph."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ...graph.tables import EdgeTable
from ..private_torch import NO_SEQUENCE_NR
from ..walk import LiveGraph

__all__ = ["NodeGroup", "Union", "group_nodes", "targets_of"]


@dataclass(slots=True)
class NodeGroup:
    """The nodes of one live graph.

    Attributes:
        nodes: Indices of its nodes other than leaves, in the order of discovery.
        leaves: Indices of the AccumulateGrad nodes that it leads to.
        first_nr: The lowest sequence number: when the oldest of its nodes was made.
    """

    nodes: list[int]
    leaves: set[int]
    first_nr: int


class Union:
    """Sets of indices that are merged (union-find, https://doi.org/10.1145/321879.321884)."""

    def __init__(self, count: int) -> None:
        self._parent = array("q", range(count))

    def find(self, index: int) -> int:
        """The index that stands for the set."""
        parent = self._parent
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    def merge(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Merge the two sets of each pair."""
        parent, find = self._parent, self.find
        for a, b in pairs:
            first, second = find(a), find(b)
            if first != second:
                parent[second] = first


def group_nodes(live: LiveGraph, leaves: Collection[int]) -> tuple[list[NodeGroup], Sequence[int]]:
    """Group the nodes of a walk.

    Args:
        live: The walk.
        leaves: Indices of the AccumulateGrad nodes. Any number of graphs share one, so it joins
            none of them.

    Returns:
        The groups in the order of their first node, and of each node its group; -1 for a leaf.
    """
    edges = live.edges
    union = Union(len(live.nodes))
    union.merge(
        (source, target)
        for source, target in zip(edges.sources, edges.targets, strict=True)
        if target not in leaves
    )
    groups: list[NodeGroup] = []
    group_of_top: dict[int, int] = {}
    group_of = array("q", [-1]) * len(live.nodes)
    for index, number in enumerate(live.sequence_nrs):
        if index in leaves:
            continue
        group = group_of_top.setdefault(union.find(index), len(groups))
        if group == len(groups):
            groups.append(NodeGroup([], set(), NO_SEQUENCE_NR))
        group_of[index] = group
        groups[group].nodes.append(index)
        groups[group].first_nr = min(groups[group].first_nr, number)
    for source, target in zip(edges.sources, edges.targets, strict=True):
        if target in leaves:
            groups[group_of[source]].leaves.add(target)
    return groups, group_of


def targets_of(edges: EdgeTable, node: int) -> Sequence[int]:
    """The nodes that the edges of a node lead to."""
    return edges.targets[edges.starts[node] : edges.starts[node + 1]]
