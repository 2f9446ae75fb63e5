"""The memory that the saved tensors of live graphs keep allocated."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..memory import find_memory
from ..node_types import NodeType
from ..parameters import TensorNames
from ..private_torch import LiveNode, peek_saved, raw_saved_tensors

__all__ = ["GraphMemory", "SavedMemory", "measure_saved"]


@dataclass(slots=True)
class GraphMemory:
    """What the nodes of one graph save: storages and their bytes, and what cannot be counted."""

    storages: dict[int, int] = field(default_factory=dict)
    packed: int = 0
    freed_nodes: int = 0


@dataclass(slots=True)
class SavedMemory:
    """What the nodes of all graphs save.

    Attributes:
        graphs: Per graph.
        kept: Storages of parameters and other leaves, which are there anyway.
        saved_by: By id of a tensor, the groups of the nodes that saved it.
    """

    graphs: list[GraphMemory]
    kept: set[int]
    saved_by: dict[int, set[int]] = field(default_factory=dict)

    def split(self, storages: dict[int, int]) -> tuple[int, int]:
        """Bytes without and of what is there anyway."""
        kept = sum(size for key, size in storages.items() if key in self.kept)
        return sum(storages.values()) - kept, kept

    def total(self, groups: Collection[int]) -> tuple[int, int]:
        """The same over several graphs, every storage once."""
        every: dict[int, int] = {}
        for group in groups:
            every.update(self.graphs[group].storages)
        return self.split(every)


def measure_saved(
    nodes: Sequence[LiveNode],
    types: Sequence[NodeType],
    group_of: Sequence[int],
    *,
    group_count: int,
    names: TensorNames,
    watched: Collection[int],
) -> SavedMemory:
    """Look at what every node saved; nothing is unpacked.

    Args:
        nodes: The live nodes.
        types: Of each node.
        group_of: The graph of each node; -1 for a leaf.
        group_count: How many graphs there are.
        names: The named parameters.
        watched: Ids of tensors of which it matters who saved them.
    """
    kept = {find_memory(tensor)[1] for _, tensor in names.items()}
    leaves = (node for node, group in zip(nodes, group_of, strict=True) if group < 0)
    kept.update(find_memory(leaf.variable)[1] for leaf in leaves)
    memory = SavedMemory([GraphMemory() for _ in range(group_count)], {k for k in kept if k})
    for node, node_type, group in zip(nodes, types, group_of, strict=True):
        if group >= 0 and (node_type.saved or node_type.is_python):
            _measure_node(memory, group, node, node_type, watched)
    return memory


def _measure_node(
    memory: SavedMemory,
    group: int,
    node: LiveNode,
    node_type: NodeType,
    watched: Collection[int],
) -> None:
    found = memory.graphs[group]
    is_freed = False
    for raw, read in _raw_entries(node, node_type):
        if raw is None:
            is_freed = True
            continue
        hooked, data, _ = peek_saved(raw)
        if hooked:
            found.packed += 1
        elif isinstance(data, torch.Tensor):
            _, storage, size = find_memory(data)
            if storage is not None:
                found.storages[storage] = size
            if id(data) in watched:
                memory.saved_by.setdefault(id(data), set()).add(group)
        elif not is_freed and read is not None:
            is_freed = _is_freed(node, read)
    found.freed_nodes += is_freed


def _raw_entries(node: LiveNode, node_type: NodeType) -> Iterator[tuple[Any, Any]]:
    """Every SavedVariable, with a way to read it checked; None in the place of freed ones."""
    if node_type.is_python:
        entries = raw_saved_tensors(node)
        yield from [(None, None)] if entries is None else [(entry, None) for entry in entries]
        return
    for _, read, read_raw in node_type.saved:
        try:
            raw = read_raw(node)  # type: ignore[misc]
        except RuntimeError:
            yield None, None  # A list of tensors has no raw form any more.
            continue
        if isinstance(raw, tuple):
            yield from ((entry, None) for entry in raw)
        else:
            yield raw, read


def _is_freed(node: LiveNode, read: Any) -> bool:
    # There is nothing to unpack: torch says whether there was.
    try:
        read(node)
    except RuntimeError:
        return True
    return False
