"""Columns that hold the nodes and edges of a Graph.

A graph of a million nodes has to fit, and capturing may cost little more than walking. So nodes
and edges are kept as columns, and the `Node` and `Edge` records are made when they are looked
at. What only few nodes have (parameters, scopes, folds) is a mapping from id to value.
A table is never changed once its Graph exists.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import overload

from .creation import Creation
from .records import Edge, Fold, Node, NodeKind, Parameter, Plain, SavedTensor
from .tensor_meta import TensorMeta

__all__ = ["EdgeTable", "EdgeView", "NodeTable", "NodeView"]


@dataclass(frozen=True, slots=True)
class NodeTable:
    """The nodes of a graph, column by column; see `Node` for the meaning of each.

    `origins` is None as captured, where every node is its own origin.
    """

    names: Sequence[str] = ()
    kinds: Sequence[NodeKind] = ()
    sequence_nrs: Sequence[int | None] = ()
    receives: Sequence[tuple[TensorMeta | None, ...]] = ()
    input_slots: Sequence[int] = ()
    saved: Mapping[int, tuple[SavedTensor, ...]] = field(default_factory=dict)
    attributes: Mapping[int, Mapping[str, Plain]] = field(default_factory=dict)
    parameters: Mapping[int, Parameter] = field(default_factory=dict)
    scopes: Mapping[int, str] = field(default_factory=dict)
    orders: Mapping[int, int] = field(default_factory=dict)
    creations: Mapping[int, Creation] = field(default_factory=dict)
    cut_slots: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    folds: Mapping[int, Fold] = field(default_factory=dict)
    origins: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """The edges of a graph in the order of their sources, then of their slots.

    Attributes:
        starts: The edges of node `i` are `starts[i]` to `starts[i + 1]`; one longer than the
            number of nodes.
        sources: Id of the node nearer the loss.
        source_slots: Index in its `next_functions`.
        targets: Id of the node nearer the leaves.
        target_slots: Output slot of the target (`input_nr`).
        counts: How many edges each stands for; None where that is 1 for all.
    """

    starts: array[int]
    sources: array[int]
    source_slots: array[int]
    targets: array[int]
    target_slots: array[int]
    counts: array[int] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @classmethod
    def from_edges(cls, node_count: int, edges: Iterable[Edge]) -> EdgeTable:
        """Sort edges by source and pack them into columns; parallel edges stay apart."""
        ordered = sorted(edges, key=lambda e: (e.source, e.source_slot, e.target, e.target_slot))
        counts = array("q", (e.count for e in ordered))
        return cls.from_columns(
            node_count,
            sources=[e.source for e in ordered],
            source_slots=[e.source_slot for e in ordered],
            targets=[e.target for e in ordered],
            target_slots=[e.target_slot for e in ordered],
            counts=counts if any(count != 1 for count in counts) else None,
        )

    @classmethod
    def from_columns(
        cls,
        node_count: int,
        *,
        sources: Sequence[int],
        source_slots: Sequence[int],
        targets: Sequence[int],
        target_slots: Sequence[int],
        counts: array[int] | None = None,
    ) -> EdgeTable:
        """Pack columns that are already ordered by source."""
        degrees = [0] * node_count
        for source in sources:
            degrees[source] += 1
        return cls(
            array("q", accumulate(degrees, initial=0)),
            array("q", sources),
            array("q", source_slots),
            array("q", targets),
            array("q", target_slots),
            counts,
        )


class NodeView(Sequence[Node]):
    """`Graph.nodes`: makes the Node records as they are asked for."""

    __slots__ = ("_edges", "_table")

    def __init__(self, table: NodeTable, edges: EdgeTable) -> None:
        self._table = table
        self._edges = edges

    def __len__(self) -> int:
        return len(self._table.names)

    @overload
    def __getitem__(self, index: int) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Node, ...]: ...
    def __getitem__(self, index: int | slice) -> Node | tuple[Node, ...]:
        if isinstance(index, slice):
            return tuple(self._node(i) for i in range(len(self))[index])
        return self._node(range(len(self))[index])

    def __iter__(self) -> Iterator[Node]:
        return map(self._node, range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} nodes>"

    def _node(self, id: int) -> Node:
        table = self._table
        cut = table.cut_slots.get(id, ())
        return Node(
            id=id,
            name=table.names[id],
            kind=table.kinds[id],
            sequence_nr=table.sequence_nrs[id],
            receives=table.receives[id],
            input_slots=table.input_slots[id],
            none_slots=self._none_slots(id, cut),
            saved=table.saved.get(id, ()),
            attributes=table.attributes.get(id, {}),
            parameter=table.parameters.get(id),
            scope=table.scopes.get(id),
            order=table.orders.get(id),
            creation=table.creations.get(id),
            cut_slots=cut,
            fold=table.folds.get(id),
            origin=id if table.origins is None else table.origins[id],
        )

    def _none_slots(self, id: int, cut: tuple[int, ...]) -> tuple[int, ...]:
        edges = self._edges
        start, stop = edges.starts[id], edges.starts[id + 1]
        slots = self._table.input_slots[id]
        if slots == stop - start + len(cut):
            return ()
        used = {*edges.source_slots[start:stop], *cut}
        return tuple(slot for slot in range(slots) if slot not in used)


class EdgeView(Sequence[Edge]):
    """`Graph.edges`: makes the Edge records as they are asked for."""

    __slots__ = ("_table",)

    def __init__(self, table: EdgeTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Edge: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Edge, ...]: ...
    def __getitem__(self, index: int | slice) -> Edge | tuple[Edge, ...]:
        if isinstance(index, slice):
            return tuple(self._edge(i) for i in range(len(self))[index])
        return self._edge(range(len(self))[index])

    def __iter__(self) -> Iterator[Edge]:
        return map(self._edge, range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} edges>"

    def _edge(self, position: int) -> Edge:
        table = self._table
        return Edge(
            table.sources[position],
            table.source_slots[position],
            table.targets[position],
            table.target_slots[position],
            1 if table.counts is None else table.counts[position],
        )
