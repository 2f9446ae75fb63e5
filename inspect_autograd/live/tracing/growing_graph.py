"""The graph of a trace: what was there at the start, and nodes that come to light later."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch

from ...graph.graph import Graph
from ...graph.records import Note, Root
from ...graph.tables import EdgeTable, NodeTable
from ..describe import describe_nodes
from ..garbage_collector import collector_paused
from ..parameters import TensorNames
from ..private_torch import LiveNode
from ..saved import SavedTensorReader
from ..tensor_meta import TensorMetaCache
from ..walk import LiveGraph, walk_graph

__all__ = ["GrowingGraph"]


class GrowingGraph:
    """Gives nodes their ids and describes them, the first time they are seen.

    It holds the live nodes until `release`: only a node that is held keeps its Python identity (up
    to torch 2.12), and asking it for a mark would cost more than the whole trace.

    Args:
        names: Finds the names of leaves.
        metas: Makes the TensorMeta records.
        saved_reader: Describes saved tensors; None to leave them out.

    Attributes:
        ids: Id of each live node.
        names: Name of each node, by id.
        orders: Derivative orders by node id, where known; whoever knows more may add to it.
    """

    def __init__(
        self,
        names: TensorNames,
        metas: TensorMetaCache,
        saved_reader: SavedTensorReader | None = None,
    ) -> None:
        self.ids: dict[LiveNode, int] = {}
        self.names: list[str] = []
        self.orders: dict[int, int] = {}
        self._tensor_names = names
        self._metas = metas
        self._saved_reader = saved_reader
        self._tables: list[NodeTable] = []
        self._edges: list[tuple[array[int], ...]] = []
        self._roots: list[Root] = []
        self._notes: tuple[Note, ...] = ()
        self._graph: Graph | None = None
        self._count: int | None = None

    def add(self, live: LiveGraph) -> list[tuple[int, LiveNode]]:
        """Give the nodes that are new in a walked graph their ids.

        Returns:
            The new nodes with their ids, in the order of the walk.
        """
        if self._count is not None:
            return []  # Another thread began a pass in the moment in which the block was left.
        ids = self.ids
        first = len(ids)
        fresh: Sequence[int] = range(len(live.nodes))
        if first:
            fresh = [local for local in fresh if live.nodes[local] not in ids]
        if not fresh:
            return []
        with collector_paused():
            table = describe_nodes(live, self._metas, self._tensor_names, self._saved_reader)
        added = [(first + offset, live.nodes[local]) for offset, local in enumerate(fresh)]
        ids.update((node, id) for id, node in added)
        if len(fresh) < len(live.nodes):
            table = _select(table, fresh)
        self._edges.append(_translate(live, ids, first))
        self.orders.update({first + local: order for local, order in table.orders.items()})
        self._tables.append(table)
        self.names += table.names
        self._graph = None
        return added

    def add_root(self, root: Root) -> None:
        """Note where the graph was entered; once for each node and slot."""
        if all((root.node, root.slot) != (other.node, other.slot) for other in self._roots):
            self._roots.append(root)
            self._graph = None

    def add_notes(self, notes: Iterable[Note]) -> None:
        """Note members of what was given that have no graph."""
        self._notes = (*self._notes, *notes)
        self._graph = None

    def walk(self, roots: Iterable[LiveNode]) -> LiveGraph:
        """Everything that the roots reach, known or not."""
        with collector_paused():
            return walk_graph(roots)

    def release(self) -> None:
        """Let go of the live nodes; only what was described remains."""
        if self._count is None:
            self._count = len(self.ids)
        self.ids = {}
        self._tensor_names = TensorNames(())  # It holds the user's tensors.
        if self._saved_reader is not None:
            self._saved_reader.release()

    def kind_of(self, id: int) -> str:
        """The kind of a node, as in `Node.kind`."""
        for table in self._tables:
            if id < len(table):
                return table.kinds[id]
            id -= len(table)
        raise KeyError(id)

    def to_graph(self) -> Graph:
        """All that was added so far as plain records."""
        if self._graph is None or self._graph.node_table.orders != self.orders:
            self._graph = Graph(
                node_table=replace(_concatenate(self._tables), orders=dict(self.orders)),
                edge_table=self._edge_table(),
                roots=tuple(self._roots),
                notes=self._notes,
                storages=tuple(self._saved_reader.storages) if self._saved_reader else (),
                torch_version=torch.__version__,
            )
        return self._graph

    def _edge_table(self) -> EdgeTable:
        # Each group of edges has sources that are higher than those of the groups before.
        sources, source_slots, targets, target_slots = (
            array("q", chain.from_iterable(group[i] for group in self._edges)) for i in range(4)
        )
        return EdgeTable.from_columns(
            len(self.ids) if self._count is None else self._count,
            sources=sources,
            source_slots=source_slots,
            targets=targets,
            target_slots=target_slots,
        )


def _translate(live: LiveGraph, ids: Mapping[LiveNode, int], first: int) -> tuple[array[int], ...]:
    """The edges whose source is new, in terms of the ids of the whole graph."""
    edges = live.edges
    id_of = [ids[node] for node in live.nodes]
    if first == 0:
        return edges.sources, edges.source_slots, edges.targets, edges.target_slots
    columns: tuple[array[int], ...] = tuple(array("q") for _ in range(4))
    for source, slot, target, target_slot in zip(
        edges.sources, edges.source_slots, edges.targets, edges.target_slots, strict=True
    ):
        if id_of[source] >= first:
            row = (id_of[source], slot, id_of[target], target_slot)
            for column, value in zip(columns, row, strict=True):
                column.append(value)
    return columns


def _select(table: NodeTable, rows: Sequence[int]) -> NodeTable:
    """Some rows of a table; the new order is that of `rows`."""
    place = {row: index for index, row in enumerate(rows)}

    def few(column: Mapping[int, Any]) -> dict[int, Any]:
        return {place[id]: value for id, value in column.items() if id in place}

    return NodeTable(
        names=[table.names[row] for row in rows],
        kinds=[table.kinds[row] for row in rows],
        sequence_nrs=[table.sequence_nrs[row] for row in rows],
        receives=[table.receives[row] for row in rows],
        input_slots=[table.input_slots[row] for row in rows],
        saved=few(table.saved),
        attributes=few(table.attributes),
        parameters=few(table.parameters),
        orders=few(table.orders),
    )


def _concatenate(tables: Sequence[NodeTable]) -> NodeTable:
    if len(tables) == 1:
        return tables[0]
    starts, total = [], 0
    for table in tables:
        starts.append(total)
        total += len(table)

    def every(name: str) -> list[Any]:
        return list(chain.from_iterable(getattr(table, name) for table in tables))

    def few(name: str) -> dict[int, Any]:
        return {
            start + id: value
            for start, table in zip(starts, tables, strict=True)
            for id, value in getattr(table, name).items()
        }

    return NodeTable(
        names=every("names"),
        kinds=every("kinds"),
        sequence_nrs=every("sequence_nrs"),
        receives=every("receives"),
        input_slots=every("input_slots"),
        saved=few("saved"),
        attributes=few("attributes"),
        parameters=few("parameters"),
    )
