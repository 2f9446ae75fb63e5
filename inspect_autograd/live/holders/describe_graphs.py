"""Records of the graphs that some tensors and nodes lead into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...graph.holders import HeldGraph, HeldTensor, Holder
from ..node_types import NodeType, describe_type, short_name
from ..parameters import TensorNames
from ..private_torch import LiveNode
from ..tensor_meta import TensorMetaCache
from ..walk import LiveGraph, walk_graph
from .describe_holders import HolderNames
from .entrances import Entrance, bytes_of, describe_plainly
from .group_graphs import NodeGroup, group_nodes
from .growth import find_growth
from .line_of_node import CreationFinder, find_creation
from .saved_memory import SavedMemory, measure_saved

__all__ = ["FoundGraph", "Held", "describe_graphs", "find_held"]

MAX_HOLDERS = 4
"""Holders told of one tensor."""


@dataclass(slots=True)
class Held:
    """An entrance and who holds it; `group` is the graph that it leads into."""

    entrance: Entrance
    holders: tuple[Holder, ...]
    more: int
    group: int = -1


@dataclass(slots=True)
class FoundGraph:
    """The record of a graph, and what it is put in order by."""

    group: int
    graph: HeldGraph
    first_nr: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """Most bytes first, then most nodes, then the oldest."""
        return -self.graph.saved_bytes, -self.graph.node_count, self.first_nr


def find_held(entrances: Iterable[Entrance], names: HolderNames) -> list[Held]:
    """The entrances with their holders, without the nodes that nobody holds."""
    held = []
    for entrance in entrances:
        holders, more = names.holders_of(entrance.value, MAX_HOLDERS)
        if entrance.leaf is not None:
            holders = (*holders, names.holder_of_gradient(entrance.leaf))
        if holders or entrance.is_tensor:
            held.append(Held(entrance, holders, more))
    return held


def describe_graphs(
    held: list[Held], names: TensorNames, recording: CreationFinder | None
) -> tuple[list[FoundGraph], SavedMemory]:
    """Walk all graphs at once and describe each; `Held.group` is filled in.

    A tensor that nobody but the nodes of its own graph holds is not told of.
    """
    live = walk_graph(one.entrance.node for one in held)
    types = _describe_types(live.nodes)
    leaves = {index for index, node_type in enumerate(types) if node_type.kind == "leaf"}
    groups, group_of = group_nodes(live, leaves)
    for one in held:
        one.group = group_of[live.ids[one.entrance.node]]
    watched = {id(one.entrance.value) for one in held}
    memory = measure_saved(
        live.nodes, types, group_of, group_count=len(groups), names=names, watched=watched
    )
    by_group: list[list[Held]] = [[] for _ in groups]
    for one in held:
        _add_unseen(one, memory)
        by_group[one.group].append(one)
    describer = _Describer(live, types, leaves, memory, recording)
    found = [describer.describe(*numbered, by_group) for numbered in enumerate(groups)]
    return found, memory


def _describe_types(nodes: Sequence[LiveNode]) -> list[NodeType]:
    known: dict[type, NodeType] = {}
    return [
        known.get(type(node)) or known.setdefault(type(node), describe_type(type(node)))
        for node in nodes
    ]


def _add_unseen(one: Held, memory: SavedMemory) -> None:
    """Name the holders of a tensor that no object refers to as far as gc sees."""
    if one.holders:
        return
    others = memory.saved_by.get(id(one.entrance.value), set()) - {one.group}
    if others:
        text = "saved by a node of another graph"
        one.holders = (Holder("saved", text),)
    elif one.entrance.references > 0:
        text = "an expression that is being evaluated, or C++ code"
        one.holders = (Holder("unseen", text),)


@dataclass(slots=True)
class _Describer:
    live: LiveGraph
    types: list[NodeType]
    leaves: set[int]
    memory: SavedMemory
    recording: CreationFinder | None

    def describe(self, index: int, group: NodeGroup, by_group: list[list[Held]]) -> FoundGraph:
        """The record of one graph."""
        held = [one for one in by_group[index] if one.holders]
        memory = self.memory.graphs[index]
        saved, parameters = self.memory.split(memory.storages)
        growth = find_growth(
            [self.live.ids[one.entrance.node] for one in held],
            group.nodes,
            self.live.edges,
            self._name_of,
            self.leaves.__contains__,
        )
        graph = HeldGraph(
            id=index,
            node_count=len(group.nodes) + len(group.leaves),
            leaf_count=len(group.leaves),
            saved_bytes=saved,
            parameter_bytes=parameters,
            packed_count=memory.packed,
            freed_nodes=memory.freed_nodes,
            growth=growth,
            tensors=self._describe_tensors(held),
        )
        return FoundGraph(index, graph, group.first_nr)

    def _name_of(self, index: int) -> str:
        return self.types[index].name or short_name(self.live.nodes[index])

    def _describe_tensors(self, held: list[Held]) -> tuple[HeldTensor, ...]:
        metas = TensorMetaCache()
        found = [(one, self._describe_tensor(one, metas)) for one in held]
        found.sort(key=lambda pair: (-(pair[1].bytes or 0), -self._number(pair[0])))
        return tuple(tensor for _, tensor in found)

    def _number(self, one: Held) -> int:
        return self.live.sequence_nrs[self.live.ids[one.entrance.node]]

    def _describe_tensor(self, one: Held, metas: TensorMetaCache) -> HeldTensor:
        value: Any = one.entrance.value
        is_tensor = one.entrance.is_tensor
        return HeldTensor(
            what="gradient" if one.entrance.leaf is not None else "tensor" if is_tensor else "node",
            meta=describe_plainly(value, metas) if is_tensor else None,
            bytes=bytes_of(value) if is_tensor else None,
            grad_fn=self._name_of(self.live.ids[one.entrance.node]),
            holders=one.holders,
            more_holders=one.more,
            creation=find_creation(one.entrance.node, self.recording),
        )
