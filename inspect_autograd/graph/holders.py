"""Records of live autograd graphs and of what keeps them alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .creation import Creation, SourceLine
from .tensor_meta import TensorMeta, format_bytes

__all__ = [
    "GraphHolders",
    "Growth",
    "HeldGraph",
    "HeldTensor",
    "Holder",
    "HolderKind",
    "HolderPattern",
    "HoldingContainer",
    "PatternKind",
]

HolderKind = Literal[
    "global", "local", "class", "gradient", "node", "saved", "cycle", "unseen", "unfinished"
]
PatternKind = Literal["accumulator", "container", "carried over", "gradient", "cycle", "held"]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a tensor, as a way from something that stays to the tensor.

    Attributes:
        kind: What the way starts from. `global`: a variable of a module. `local`: a variable of a
            function that is running. `class`: an attribute of a class. `gradient`: the `.grad` of
            a leaf. `node`: an attribute that a custom Function put on its `ctx`. `saved`: a node
            of another graph saved it. `cycle`: nothing but objects that refer to each other, which
            the garbage collector has not collected yet. `unseen`: something that the collector
            does not see, such as the hooks of a node, C++ code, or an expression that is being
            evaluated. `unfinished`: the search ended before the start was found.
        text: The way in words: `local variable losses[3] of train_step at train.py:42`.
        expression: How to reach the tensor from the innermost variable: `losses[3]`,
            `model.hidden`. Empty where there is none.
        owner: Class of the object of which the tensor is an attribute; empty if it is of none.
        source: Where the function that has the variable is, or was created.
    """

    kind: HolderKind
    text: str
    expression: str = ""
    owner: str = ""
    source: SourceLine | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class HeldTensor:
    """What a graph is held through.

    Attributes:
        what: `tensor`; `node` where Python holds a `grad_fn` or a GradientEdge itself; `gradient`
            for the `.grad` of a leaf.
        meta: Shape and dtype; None for a node.
        bytes: Of its own elements; None where unknown.
        grad_fn: Name of its node.
        creation: The line that made that node, if a recording or anomaly mode knows it.
        holders: Who holds it, shortest ways first.
        more_holders: How many holders there are beyond these.
    """

    what: Literal["tensor", "node", "gradient"]
    meta: TensorMeta | None
    bytes: int | None
    grad_fn: str
    holders: tuple[Holder, ...]
    more_holders: int = 0
    creation: Creation | None = None

    def __str__(self) -> str:
        meta = "" if self.meta is None else f" {self.meta}"
        return f"{self.what}{meta} from {self.grad_fn}"


@dataclass(frozen=True, slots=True)
class Growth:
    """That a tensor is a long chain of sums, or of concatenations.

    Attributes:
        kind: `sum` (`total += loss`) or `concatenation` (`outputs = torch.cat([outputs, y])`).
        steps: How many of these stand in a chain.
        terms: How many parts with nothing in common but leaves were put together. One step of
            training that sums the losses of several heads has one, as the heads share a trunk.
    """

    kind: Literal["sum", "concatenation"]
    steps: int
    terms: int


@dataclass(frozen=True, slots=True)
class HeldGraph:
    """One live graph: nodes that are connected other than through leaves.

    Attributes:
        id: Index in `GraphHolders.graphs`.
        node_count: Nodes, AccumulateGrad nodes included.
        leaf_count: How many of them are AccumulateGrad.
        saved_bytes: Memory that its saved tensors keep allocated, every storage once and without
            that of leaves.
        parameter_bytes: Memory of saved parameters and other leaves, which is there anyway.
        packed_count: Saved tensors behind hooks (checkpointing, offloading), not counted.
        freed_nodes: Nodes whose saved tensors a backward pass has freed: what is left over from a
            step that is done.
        growth: Set if a tensor through which it is held was put together step by step.
        tensors: Through what it is held, biggest first.
    """

    id: int
    node_count: int
    leaf_count: int
    saved_bytes: int
    parameter_bytes: int
    packed_count: int
    freed_nodes: int
    growth: Growth | None
    tensors: tuple[HeldTensor, ...]

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Who holds it, over all its tensors."""
        return tuple(holder for tensor in self.tensors for holder in tensor.holders)

    def __str__(self) -> str:
        return f"graph {self.id}: {self.node_count} nodes, {format_bytes(self.saved_bytes)} saved"


@dataclass(frozen=True, slots=True)
class HoldingContainer:
    """A list, dict, set or the like with several tensors that carry graphs.

    Attributes:
        type_name: `list`, `dict`, ...
        tensors: How many of its members carry a graph.
        graphs: Ids of these graphs.
        holder: Who holds the container.
    """

    type_name: str
    tensors: int
    graphs: tuple[int, ...]
    holder: Holder

    def __str__(self) -> str:
        return f"a {self.type_name} of {self.tensors} tensors that carry graphs: {self.holder}"


@dataclass(frozen=True, slots=True)
class HolderPattern:
    """A known way to keep graphs alive, and what to do.

    Attributes:
        kind: `accumulator`: a running sum of losses. `container`: several graphs held by one list
            or dict. `carried over`: a value of an earlier step, such as a hidden state.
            `gradient`: `.grad` after `backward(create_graph=True)`. `cycle`: garbage that was not
            collected. `held`: nothing more than that something holds it.
        text: What was found.
        hint: What to do.
        graphs: Ids of the graphs concerned.
    """

    kind: PatternKind
    text: str
    hint: str
    graphs: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class GraphHolders:
    """The autograd graphs that were alive, and who kept them: plain data, which holds nothing.

    `print` shows it as text.

    Attributes:
        graphs: Most saved bytes first, then most nodes, then in the order of creation.
        containers: Lists and the like with several of the tensors.
        patterns: What this looks like, and what to do, worst first.
        saved_bytes: Memory that all graphs together keep, every storage once and without leaves.
        parameter_bytes: Memory of saved leaves, which is there anyway.
        left_out: Graphs with less than `min_bytes`.
        notes: What was not looked at.
    """

    graphs: tuple[HeldGraph, ...]
    containers: tuple[HoldingContainer, ...] = ()
    patterns: tuple[HolderPattern, ...] = ()
    saved_bytes: int = 0
    parameter_bytes: int = 0
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.graphs)

    def __str__(self) -> str:
        from ..render.holders_text import render_holders

        return render_holders(self)

    def __repr__(self) -> str:
        return f"<GraphHolders: {len(self.graphs)} graphs, {format_bytes(self.saved_bytes)} saved>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))
