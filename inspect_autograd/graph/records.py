"""The frozen records that make up a Graph.

Ids are dense ints in the order of discovery (breadth first from the roots, edges in the order of
`next_functions`), so the same program gives the same ids. Whatever refers to a node holds its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .creation import Creation, SourceLine
from .tensor_meta import TensorMeta, format_bytes

__all__ = [
    "Edge",
    "Fold",
    "FoldBy",
    "FoldNote",
    "Node",
    "NodeKind",
    "Note",
    "Parameter",
    "Plain",
    "Repeat",
    "Root",
    "SavedState",
    "SavedTensor",
    "Storage",
    "Truncation",
]

NodeKind = Literal["op", "leaf", "custom", "cpp-custom", "compiled", "fold"]
SavedState = Literal["available", "packed", "freed", "modified"]
FoldBy = Literal["chain", "scope", "repeat", "band"]
Plain = None | bool | int | float | str | tuple["Plain", ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A leaf tensor that gradients accumulate into: a parameter, or an input that requires grad.

    Attributes:
        names: Every name it has in `params`, tied names included; empty if it was not named. Of
            the leaf that stands for those of a repeat, the names of all of them.
        meta: Shape and dtype of the tensor itself.
    """

    names: tuple[str, ...]
    meta: TensorMeta

    @property
    def name(self) -> str | None:
        """The first of its names, None if it has none."""
        return self.names[0] if self.names else None


@dataclass(frozen=True, slots=True)
class SavedTensor:
    """A tensor that a node keeps for backward (its `_saved_*` attributes, `saved_tensors`).

    Attributes:
        name: As PyTorch names it without the `_saved_` prefix (`self`, `mat2`, `result`); lists
            get an index (`tensors[0]`), custom Functions count theirs (`saved_tensors[0]`).
        meta: None where it cannot be known without running user code (packed) or at all (freed).
        bytes: Bytes of its elements, None where unknown. Several saved tensors may share one
            storage; `Graph.saved_bytes` counts each storage once.
        storage: Index in `Graph.storages`; None if freed, packed, or without a storage.
        state: `available`; `packed` by a pack hook (checkpointing, `saved_tensors_hooks`), so
            that looking would run its unpack hook; `freed` by a backward pass (a custom
            Function then shows one entry, whatever it had saved); `modified` in
            place since it was saved, so that backward will refuse it.
        alias: Names of the parameter, buffer or input (of `params`) whose memory it is.
    """

    name: str
    meta: TensorMeta | None
    bytes: int | None
    storage: int | None
    state: SavedState
    alias: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = "?" if self.meta is None else str(self.meta)
        size = "" if self.bytes is None else f" {format_bytes(self.bytes)}"
        state = "" if self.state == "available" else f" ({self.state})"
        alias = f" = {self.alias[0]}" if self.alias else ""
        return f"{self.name}: {what}{size}{alias}{state}"


@dataclass(frozen=True, slots=True)
class Storage:
    """A piece of memory that one or more saved tensors look at.

    Attributes:
        bytes: Size of the whole storage: what stays allocated while any of them lives.
        names: Names (of `params`) of the parameters, buffers or inputs that live in it.
    """

    bytes: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fold:
    """What a folded node stands for.

    Attributes:
        by: The pass that made it.
        label: One line that names it, for example `MulBackward0 ×20000`.
        count: How many times the thing repeats: nodes of a chain, calls of a block; 1 for a
            scope.
        members: Ids, in the captured graph, of all the nodes it stands for.
        names: Node names inside and how often each occurs, most frequent first.
    """

    by: FoldBy
    label: str
    count: int
    members: tuple[int, ...]
    names: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the autograd graph (a `grad_fn`), or a fold of several.

    Attributes:
        id: Index in `Graph.nodes`.
        name: As `Node.name()` gives it, without a C++ namespace: `MulBackward0`,
            `AccumulateGrad`.
        kind: `op` (built in), `leaf` (AccumulateGrad), `custom` (a Python
            `torch.autograd.Function`), `cpp-custom` (one of a C++ extension), `compiled`
            (`torch.compile`), or `fold`.
        sequence_nr: Order of creation within its thread; the engine runs higher numbers first.
            None for what has none: leaves, folds, and the placeholder of a derivative that torch
            lacks (`NotImplemented`).
        receives: What gradient the node receives per output slot of its forward function. None
            for a slot that never receives one.
        input_slots: Length of `next_functions`: one slot per forward input that is a tensor.
        none_slots: The slots of `next_functions` that lead nowhere, because that input does not
            require grad.
        saved: Tensors it keeps for backward.
        attributes: Its non-tensor `_saved_*` values by name without that prefix; for a custom
            Function what `ctx` carries.
        parameter: The leaf tensor, for kind `leaf`.
        scope: Path of the module that made it; `""` is the outermost module, None unknown.
        order: Derivative order: 1 made by the forward pass, 2 made while a backward pass ran
            with `create_graph=True`, and so on. None where it cannot be told.
        creation: The call, the line and the thread that made it, where that was recorded.
        cut_slots: The slots of `next_functions` whose edge `max_nodes` cut off.
        fold: What it stands for, for kind `fold` and for the representative of a repeat.
        origin: Its id in the captured graph (the lowest of those it stands for), which is not
            `id` once the graph was folded.
    """

    id: int
    name: str
    kind: NodeKind
    sequence_nr: int | None
    receives: tuple[TensorMeta | None, ...]
    input_slots: int = 0
    none_slots: tuple[int, ...] = ()
    saved: tuple[SavedTensor, ...] = ()
    attributes: Mapping[str, Plain] = field(default_factory=dict)
    parameter: Parameter | None = None
    scope: str | None = None
    order: int | None = None
    creation: Creation | None = None
    cut_slots: tuple[int, ...] = ()
    fold: Fold | None = None
    origin: int | None = None

    @property
    def members(self) -> tuple[int, ...]:
        """Ids, in the captured graph, of the nodes it stands for: itself, unless it is a fold."""
        if self.fold is not None:
            return self.fold.members
        return (self.id if self.origin is None else self.origin,)

    @property
    def source(self) -> SourceLine | None:
        """The user's line that made it; None where it was not recorded or is not known."""
        return None if self.creation is None else self.creation.source

    @property
    def label(self) -> str:
        """What to call it: its fold's label, its parameter's name, or its own name."""
        if self.fold is not None and self.kind == "fold":
            return self.fold.label
        if self.parameter is not None and self.parameter.name is not None:
            return self.parameter.name
        return self.name

    def __str__(self) -> str:
        received = ", ".join("None" if m is None else str(m) for m in self.receives)
        return f"#{self.id} {self.label} receives {received or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Edge:
    """One entry of `next_functions`: the gradient at `source_slot` goes on to `target`.

    Attributes:
        source: Id of the node nearer the loss.
        source_slot: Index in its `next_functions` (which forward input).
        target: Id of the node nearer the leaves.
        target_slot: `input_nr`: which output slot of the target receives the gradient.
        count: 1 as captured; in a folded graph, how many edges it stands for.
    """

    source: int
    source_slot: int
    target: int
    target_slot: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Root:
    """Where a graph was entered.

    Attributes:
        path: Where in the given nest, written as Python: `[0]['loss']`; empty for the value
            itself.
        node: Id of its node.
        slot: Which output of the node's forward function the tensor is (`output_nr`).
        meta: Of the tensor; None if a Node was given.
    """

    path: str
    node: int
    slot: int
    meta: TensorMeta | None


@dataclass(frozen=True, slots=True)
class Note:
    """A member of the given nest that has no graph, and why."""

    path: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Truncation:
    """That, and where, `max_nodes` cut the walk.

    Attributes:
        max_nodes: The limit that was reached.
        cut_edges: How many edges lead from captured nodes to nodes that were not captured.
    """

    max_nodes: int
    cut_edges: int

    def __str__(self) -> str:
        return (
            f"cut at max_nodes={self.max_nodes}: {self.cut_edges} edges lead to nodes "
            "that were not captured"
        )


@dataclass(frozen=True, slots=True)
class Repeat:
    """A run of blocks of one shape that are shown once.

    Attributes:
        label: For example `layers.0 … layers.11 ×12`.
        scopes: Names of the blocks (`layers.0`, `cell (call 1)`, `step 1`), in order of their
            forward execution.
        links: How the gradient goes on from one block to the next, as edges between the ids of
            this graph. They are kept apart from `Graph.edges`, since they would close a loop.
        nodes: Ids, in this graph, of the nodes of the block that stands for all of them. A
            renderer that draws the run as one cluster with `label` on it puts these inside, and
            may add leaves that only they use; a node with `Fold.by == "repeat"` is in the
            `nodes` of at least one Repeat, and of two Repeats that share nodes one lies inside
            the other.
        scope: Where the run has module scopes, what their common part became in `Node.scope`:
            `layers.0…11` for `layers.0` to `layers.11`, so that the nodes inside have scopes
            such as `layers.0…11.self_attn`; for calls of one module, that module. None for a run
            found without scopes, whose nodes keep the scope that all copies share.
    """

    label: str
    scopes: tuple[str, ...]
    links: tuple[Edge, ...]
    nodes: tuple[int, ...] = ()
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class FoldNote:
    """What one folding pass did to a graph: nodes and edges before and after, and in words."""

    by: FoldBy
    nodes_before: int
    nodes_after: int
    edges_before: int
    edges_after: int
    text: str
