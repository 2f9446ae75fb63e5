"""Blocks of nodes: telling whether two of them are alike.

No general search for an isomorphism is made. The nodes of each block are put in an order that
comes out the same for blocks made by the same code, and blocks are alike if, in that order, every
node and every edge is. A block that could be alike only in another order counts as different.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ..tables import EdgeTable, NodeTable
from .labels import current_label

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["BlockReader", "is_convex"]


class BlockReader:
    """Reads blocks of one graph.

    Args:
        graph: May be folded already.
    """

    def __init__(self, graph: Graph) -> None:
        self._table: NodeTable = graph.node_table
        self._edges: EdgeTable = graph.edge_table
        # Nodes of a run that is shown once already are not like nodes outside it.
        self._repeats_of: dict[int, tuple[int, ...]] = {}
        for index, repeat in enumerate(graph.repeats):
            for node in repeat.nodes:
                self._repeats_of[node] = (*self._repeats_of.get(node, ()), index)

    def order(self, nodes: Iterable[int], prefix: str) -> tuple[int, ...]:
        """The nodes in topological order; ties go by what they are, then by when they ran.

        Args:
            nodes: Of one block.
            prefix: Scope of the block, which is left out of what the nodes are called.
        """
        starts, targets = self._edges.starts, self._edges.targets
        slots = self._edges.source_slots
        waiting = dict.fromkeys(nodes, 0)
        for node in waiting:
            for target in targets[starts[node] : starts[node + 1]]:
                if target in waiting:
                    waiting[target] += 1
        # (where the first gradient comes from, its slot, what the node is, when it ran, id)
        ready = [
            (-1, 0, *self._tie_break(node, prefix)) for node, count in waiting.items() if not count
        ]
        heapify(ready)
        reached_from: dict[int, tuple[int, int]] = {}
        order: list[int] = []
        while ready:
            node = heappop(ready)[-1]
            for position in range(starts[node], starts[node + 1]):
                target = targets[position]
                if target not in waiting:
                    continue
                reached_from.setdefault(target, (len(order), slots[position]))
                waiting[target] -= 1
                if not waiting[target]:
                    key = (*reached_from[target], *self._tie_break(target, prefix))
                    heappush(ready, key)
            order.append(node)
        return tuple(order)

    def _tie_break(self, node: int, prefix: str) -> tuple[str, str, int, int]:
        number = self._table.sequence_nrs[node]
        return (
            self._relative(self._table.scopes.get(node), prefix) or "",
            self._relative(current_label(self._table, node), prefix) or "",
            1 if number is None else -number,
            node,
        )

    def signature(self, order: Sequence[int], prefix: str | None) -> Hashable:
        """What has to be equal for two blocks to be alike; None if the walk was cut in there.

        Args:
            order: The nodes of the block, in an order that is the same for alike blocks.
            prefix: Scope of the block; what is below it has to be equal, names of parameters
                included. None if scopes and names do not matter.
        """
        cut = self._table.cut_slots
        if cut and not cut.keys().isdisjoint(order):
            return None
        place = {node: index for index, node in enumerate(order)}
        return tuple((self._row(node, prefix), self._inner_edges(node, place)) for node in order)

    def _row(self, node: int, prefix: str | None) -> Hashable:
        table = self._table
        fold, parameter = table.folds.get(node), table.parameters.get(node)
        named = prefix is not None
        return (
            table.names[node] if table.kinds[node] != "fold" else None,
            table.kinds[node],
            table.receives[node],
            table.input_slots[node],
            table.orders.get(node),
            self._relative(table.scopes.get(node), prefix) if named else None,
            parameter and (parameter.meta, named and self._relative(parameter.name, prefix)),
            fold
            and (fold.by, fold.count, fold.names, named and self._relative(fold.label, prefix)),
            self._repeats_of.get(node),
        )

    def _inner_edges(self, node: int, place: Mapping[int, int]) -> Hashable:
        """Slots in use and, of the edges inside the block, where they lead."""
        edges = self._edges
        found: list[tuple[int, ...]] = []
        for position in range(edges.starts[node], edges.starts[node + 1]):
            inside = place.get(edges.targets[position])
            slot = edges.source_slots[position]
            if inside is None:
                found.append((slot,))
            else:
                count = 1 if edges.counts is None else edges.counts[position]
                found.append((slot, inside, edges.target_slots[position], count))
        # The edges of a fold come in the order of ids, which may differ from block to block.
        return tuple(sorted(set(found))) if self._table.kinds[node] == "fold" else tuple(found)

    @staticmethod
    def _relative(text: str | None, prefix: str | None) -> str | None:
        if text and prefix and text.startswith(prefix):
            return text[len(prefix) :]
        return text


def is_convex(edges: EdgeTable, ranks: Sequence[int], nodes: set[int]) -> bool:
    """Whether no way leads out of `nodes` and back into them.

    Args:
        edges: Of a graph without cycles.
        ranks: Of each node its place in a topological order.
        nodes: Any nodes.
    """
    last = max(ranks[node] for node in nodes)
    starts, targets = edges.starts, edges.targets
    seen = {
        target
        for node in nodes
        for target in targets[starts[node] : starts[node + 1]]
        if target not in nodes and ranks[target] < last
    }
    pending = list(seen)
    while pending:
        node = pending.pop()
        for target in targets[starts[node] : starts[node + 1]]:
            if target in nodes:
                return False
            if target not in seen and ranks[target] < last:
                seen.add(target)
                pending.append(target)
    return True
