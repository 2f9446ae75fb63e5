"""Who keeps which memory: the rows of a SavedMemory, and the sums that they are made of.

Several nodes may save tensors that look at one storage: a ReLU keeps its result, and the linear
layer behind it keeps the same tensor as its input. Freeing either node alone frees nothing. So a
row says two things: `activation_bytes`, what its nodes hold in all, and `alone_bytes`, the part
that no node of another row holds. The rest is shared, and is counted once in the total:

    sum of alone_bytes of all rows  +  shared_bytes  =  activation_bytes of the whole

Storages of named tensors stand apart, as `parameter_bytes`: the model keeps these anyway.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from .creation import SourceLine
from .records import SavedTensor
from .tensor_meta import format_bytes

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["HeldTensor", "MemoryRow", "StorageView", "find_storage_views", "make_rows"]

LARGEST = 3
"""How many tensors a row names."""


@dataclass(frozen=True, slots=True)
class HeldTensor:
    """A saved tensor, the node that saves it, and the memory that this keeps.

    Attributes:
        node: Id of the node.
        node_name: Its name.
        tensor: What it saved.
        storage_bytes: Size of the whole storage, more than `tensor.bytes` for a view of a part.
    """

    node: int
    node_name: str
    tensor: SavedTensor
    storage_bytes: int

    def __str__(self) -> str:
        looked_at = self.tensor.bytes
        is_part = looked_at is not None and looked_at < self.storage_bytes
        part = f", a view of {format_bytes(self.storage_bytes)}" if is_part else ""
        return f"{self.tensor}{part} (#{self.node})"


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """What some nodes keep for backward; all sizes in bytes, each storage counted once.

    Attributes:
        name: What the row is about, in words.
        node: Id of the node, in rows by node.
        scope: Path of the module, in rows by scope and by node; `""` is the outermost module,
            None unknown.
        source: The line that made the nodes, in rows by line and by node, where it was recorded.
        nodes: How many nodes of it save a tensor.
        tensors: How many tensors they save.
        unmeasured: How many of these keep memory that is not known: packed, freed, or without
            a storage.
        activation_bytes: Storages without a name that these nodes hold, in all.
        alone_bytes: The part of it that no node of another row holds. Autograd would let go of
            just that if the nodes of this row went and all others stayed.
        parameter_bytes: Storages of named parameters, buffers and inputs that they hold.
        largest: The largest tensors, one for each storage, at most three; activations first.
    """

    name: str
    node: int | None
    scope: str | None
    source: SourceLine | None
    nodes: int
    tensors: int
    unmeasured: int
    activation_bytes: int
    alone_bytes: int
    parameter_bytes: int
    largest: tuple[HeldTensor, ...]

    @property
    def shared_bytes(self) -> int:
        """The part of `activation_bytes` that nodes of other rows hold as well."""
        return self.activation_bytes - self.alone_bytes


@dataclass(frozen=True, slots=True)
class StorageView:
    """A storage of which the saved tensors look at a part only, but keep all of it.

    Attributes:
        storage: Index in `Graph.storages`.
        storage_bytes: What stays allocated.
        looked_at_bytes: What the saved tensors look at, at most: the sum of their sizes, though
            they may overlap.
        tensors: How many saved tensors look at it.
        largest: The largest of them.
    """

    storage: int
    storage_bytes: int
    looked_at_bytes: int
    tensors: int
    largest: HeldTensor

    @property
    def unused_bytes(self) -> int:
        """What is kept, though no saved tensor looks at it; at least so much."""
        return self.storage_bytes - self.looked_at_bytes


@dataclass(slots=True)
class _Holdings:
    """What the nodes of one row save, while it is put together."""

    first: int
    nodes: int = 0
    tensors: int = 0
    unmeasured: int = 0
    by_storage: dict[int, tuple[int, SavedTensor]] = field(default_factory=dict)
    """The node and the tensor that look at most of each storage."""


Identity = tuple[str, int | None, str | None, SourceLine | None]
"""The first four fields of a row."""


def make_rows(
    graph: Graph,
    key_of: Callable[[int], Hashable],
    identify: Callable[[Any, int], Identity],
) -> tuple[tuple[MemoryRow, ...], int]:
    """Sort what nodes save into rows.

    Args:
        graph: Whose nodes.
        key_of: Of the id of a node, the row that it belongs to.
        identify: Of a key, and the first node of its row, what the row is about.

    Returns:
        The rows, those that hold most activations first, then most parameters, then in the order
        of their first nodes; and the bytes of activations that more than one row holds.
    """
    holdings = _collect(graph, key_of)
    holders = array("q", bytes(8 * len(graph.storages)))
    for held in holdings.values():
        for storage in held.by_storage:
            holders[storage] += 1
    rows = [
        (held.first, _make_row(graph, identify(key, held.first), held, holders))
        for key, held in holdings.items()
    ]
    rows.sort(key=lambda pair: (-pair[1].activation_bytes, -pair[1].parameter_bytes, pair[0]))
    shared = sum(
        storage.bytes
        for storage, count in zip(graph.storages, holders, strict=True)
        if count > 1 and not storage.names
    )
    return tuple(row for _, row in rows), shared


def _collect(graph: Graph, key_of: Callable[[int], Hashable]) -> dict[Hashable, _Holdings]:
    holdings: dict[Hashable, _Holdings] = {}
    for node, saved in sorted(graph.node_table.saved.items()):
        if not saved:
            continue
        key = key_of(node)
        held = holdings.get(key)
        if held is None:
            held = holdings[key] = _Holdings(node)
        held.nodes += 1
        held.tensors += len(saved)
        for tensor in saved:
            if tensor.storage is None:
                held.unmeasured += 1
                continue
            best = held.by_storage.get(tensor.storage)
            if best is None or (best[1].bytes or 0) < (tensor.bytes or 0):
                held.by_storage[tensor.storage] = (node, tensor)
    return holdings


def _make_row(
    graph: Graph, identity: Identity, held: _Holdings, holders: Sequence[int]
) -> MemoryRow:
    storages = graph.storages
    activations = alone = parameters = 0
    for storage in held.by_storage:
        size = storages[storage].bytes
        if storages[storage].names:
            parameters += size
            continue
        activations += size
        if holders[storage] == 1:
            alone += size
    largest = nsmallest(
        LARGEST,
        held.by_storage,
        key=lambda s: (bool(storages[s].names), -storages[s].bytes, held.by_storage[s][0], s),
    )
    return MemoryRow(
        *identity,
        nodes=held.nodes,
        tensors=held.tensors,
        unmeasured=held.unmeasured,
        activation_bytes=activations,
        alone_bytes=alone,
        parameter_bytes=parameters,
        largest=tuple(_describe(graph, *held.by_storage[storage]) for storage in largest),
    )


def _describe(graph: Graph, node: int, tensor: SavedTensor) -> HeldTensor:
    size = 0 if tensor.storage is None else graph.storages[tensor.storage].bytes
    return HeldTensor(node, graph.node_table.names[node], tensor, size)


def find_storage_views(graph: Graph) -> tuple[StorageView, ...]:
    """Storages without a name that are kept whole, though only a part is looked at.

    Returns:
        Those with most unused bytes first. One of which it is not sure that a part is unused, as
        the sizes of its tensors add up to the whole or are not known, is not among them.
    """
    looked_at = array("q", bytes(8 * len(graph.storages)))
    for tensors in graph.node_table.saved.values():
        for tensor in tensors:
            if tensor.storage is not None:
                size = graph.storages[tensor.storage].bytes
                seen = looked_at[tensor.storage] + (size if tensor.bytes is None else tensor.bytes)
                looked_at[tensor.storage] = min(seen, size)
    partly = {
        index
        for index, storage in enumerate(graph.storages)
        if not storage.names and looked_at[index] < storage.bytes
    }
    found = _viewers(graph, partly)
    views = [
        StorageView(
            storage=index,
            storage_bytes=graph.storages[index].bytes,
            looked_at_bytes=looked_at[index],
            tensors=len(viewers),
            largest=_describe(graph, *_largest(viewers)),
        )
        for index, viewers in found.items()
    ]
    return tuple(sorted(views, key=lambda view: (-view.unused_bytes, view.storage)))


def _viewers(graph: Graph, storages: set[int]) -> dict[int, list[tuple[int, SavedTensor]]]:
    found: dict[int, list[tuple[int, SavedTensor]]] = {}
    for node, saved in sorted(graph.node_table.saved.items()):
        for tensor in saved:
            if tensor.storage is not None and tensor.storage in storages:
                found.setdefault(tensor.storage, []).append((node, tensor))
    return found


def _largest(viewers: Iterable[tuple[int, SavedTensor]]) -> tuple[int, SavedTensor]:
    return max(viewers, key=lambda viewer: viewer[1].bytes or 0)
