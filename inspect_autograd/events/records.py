"""The frozen records that make up a Trace.

Whatever refers to a node holds its id in `Trace.graph`; whatever refers to an event holds its
`order`, and to a backward pass its `id`. No record holds a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Literal

from ..graph.records import Plain
from ..graph.tensor_meta import TensorMeta

__all__ = [
    "BackwardPass",
    "Environment",
    "Event",
    "Evidence",
    "Outcome",
    "PassCall",
    "PassInput",
    "RootGradient",
    "StatsLevel",
    "Status",
    "TensorStats",
    "TracedParameter",
]

StatsLevel = Literal["meta", "basic", "full"]
Status = Literal["completed", "raised", "running", "nothing ran"]
PassCall = Literal["backward", "grad", "engine"]


@dataclass(frozen=True, slots=True)
class TensorStats:
    """What is known of one gradient: its metadata, and numbers about its values.

    What was not computed is None: at `stats="meta"` all numbers, at `"basic"` the mean and the
    counts, and whatever could not be reduced; then `note` says why.

    Attributes:
        meta: Shape, dtype, device.
        l2: Euclidean norm over all elements. It may be `inf` though every element is finite,
            where the squares overflow.
        min: Smallest element; `nan` if any element is NaN. Of a complex gradient: of its real
            and imaginary parts.
        max: Largest element; as `min`.
        mean: Mean of all elements; of a complex gradient None.
        zero_count: How many elements are exactly 0.
        nan_count: How many elements are NaN.
        inf_count: How many elements are `inf` or `-inf`.
        note: Why numbers are missing, or what they are about; empty if there is nothing to say.
    """

    meta: TensorMeta
    l2: float | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    zero_count: int | None = None
    nan_count: int | None = None
    inf_count: int | None = None
    note: str = ""

    @property
    def is_finite(self) -> bool | None:
        """Whether every element is finite; None where it is not known."""
        if self.nan_count is not None and self.inf_count is not None:
            return self.nan_count == 0 and self.inf_count == 0
        if self.min is not None and self.max is not None:
            return isfinite(self.min) and isfinite(self.max)
        if self.l2 is not None and isfinite(self.l2):
            return True
        return False if self.l2 is not None and isnan(self.l2) else None

    @property
    def max_abs(self) -> float | None:
        """Largest absolute value of an element (for a complex gradient: of a part of one)."""
        if self.min is None or self.max is None:
            return None
        if isnan(self.min) or isnan(self.max):
            return float("nan")
        return max(abs(self.min), abs(self.max))

    @property
    def zero_share(self) -> float | None:
        """Share of the elements that are exactly 0, from 0 to 1."""
        numel = self.meta.numel
        if self.zero_count is None or not numel:
            return None
        return self.zero_count / numel

    def __str__(self) -> str:
        if self.l2 is None:
            return str(self.meta)
        finite = self.is_finite
        problem = "" if finite is not False else f" {self.problem}"
        return f"{self.meta} |{self.l2:.3g}|{problem}"

    @property
    def problem(self) -> str:
        """`NaN`, `Inf` or `NaN and Inf` for a gradient that is not finite, else an empty text."""
        if self.is_finite is not False:
            return ""
        if self.nan_count is not None and self.inf_count is not None:
            return " and ".join(["NaN"] * bool(self.nan_count) + ["Inf"] * bool(self.inf_count))
        numbers = (self.l2, self.min, self.max)
        return "NaN" if any(n is not None and isnan(n) for n in numbers) else "Inf"


@dataclass(frozen=True, slots=True)
class Event:
    """One execution of one node.

    Attributes:
        order: Index in `Trace.events`; nodes stand in the order in which they finished.
        node: Id of the node in `Trace.graph`.
        backward_pass: Id of the pass it belongs to, index in `Trace.passes`. A pass is one graph
            task of the engine; a reentrant pass, run by a node of another one, is a pass of its
            own with `BackwardPass.parent` set.
        thread: Index in `Trace.threads`.
        start_ns: When the node started, in nanoseconds since the trace began.
        duration_ns: From there to the end of its formula; the work of this package is not in it.
            On an accelerator that is the time to launch the work, not to do it.
        received: What the node received, one entry per output slot of its forward function; None
            where no gradient came.
        returned: What it returned, one entry per slot of `next_functions`; None where it returned
            nothing, as for an input that needs no gradient. A leaf returns nothing at all.
    """

    order: int
    node: int
    backward_pass: int
    thread: int
    start_ns: int
    duration_ns: int
    received: tuple[TensorStats | None, ...]
    returned: tuple[TensorStats | None, ...]

    @property
    def is_finite(self) -> bool | None:
        """Whether all it received and returned is finite; None if that is not known of some."""
        known = [s.is_finite for s in (*self.received, *self.returned) if s is not None]
        return False if False in known else None if None in known else True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a backward pass, or the whole traced block, ended.

    Attributes:
        status: `completed`; `raised`; `running`, when looked at before the end; `nothing ran`,
            when no backward pass of the traced graph took place.
        error: Type of the exception, for `raised`.
        message: What the exception said.
        node: Id of the node that was running when it was raised; None if none was, or if the
            exception was raised outside of the backward pass.
    """

    status: Status
    error: str | None = None
    message: str | None = None
    node: int | None = None


@dataclass(frozen=True, slots=True)
class RootGradient:
    """The gradient that one root of a backward pass was given.

    Attributes:
        node: Id of the root's node.
        slot: Output slot of that node which receives the gradient.
        is_implicit: Whether PyTorch made it (a 1, as the output is a scalar) rather than the user.
        stats: What it was.
    """

    node: int
    slot: int
    is_implicit: bool
    stats: TensorStats | None


@dataclass(frozen=True, slots=True)
class PassInput:
    """One of the `inputs=` that a pass was limited to.

    Attributes:
        node: Id of its node (an AccumulateGrad for a leaf), None if the graph does not reach it.
        slot: Output slot of that node.
        names: Its names in `params`.
        stats: The gradient that `autograd.grad` returned for it; None for `backward(inputs=)`,
            which accumulates instead, and where the gradient is None.
    """

    node: int | None
    slot: int
    names: tuple[str, ...]
    stats: TensorStats | None


@dataclass(frozen=True, slots=True)
class BackwardPass:
    """One backward pass: one call of the engine.

    Attributes:
        id: Index in `Trace.passes`.
        call: `backward` (`Tensor.backward`, `torch.autograd.backward`), `grad`
            (`torch.autograd.grad`), or `engine` (the engine was called in another way).
        file: Source file of the user's line that called it; None if unknown.
        line: Line in that file.
        function: Function that the line stands in.
        roots: What it started from, and with which gradients.
        inputs: What it was limited to by `inputs=`; None if it was not.
        retain_graph: Whether the graph's saved tensors were kept for another pass.
        create_graph: Whether the pass itself was recorded, for second derivatives.
        graph_task: The engine's number of the pass, unique in the process; None if no node ran.
        thread: Index in `Trace.threads` of the thread that called it.
        parent: Id of the node that called it while running in another pass (a reentrant pass, as
            `torch.utils.checkpoint` makes one); None for a pass of its own.
        outcome: How it ended.
        parent_pass: Id of the pass that `parent` ran in; None for a pass of its own.
    """

    id: int
    call: PassCall
    file: str | None
    line: int | None
    function: str | None
    roots: tuple[RootGradient, ...]
    inputs: tuple[PassInput, ...] | None
    retain_graph: bool
    create_graph: bool
    graph_task: int | None
    thread: int
    parent: int | None
    outcome: Outcome
    parent_pass: int | None = None

    @property
    def place(self) -> str:
        """`train.py:41`, or `unknown place`."""
        if self.file is None:
            return "unknown place"
        return f"{self.file.replace(chr(92), '/').rpartition('/')[2]}:{self.line}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen at a node that received finite gradients and returned others.

    It is gathered while the node runs, since what the node saved is freed right after.

    Attributes:
        event: Order of the event.
        rule: Slug of the rule that explains it, such as `sqrt-at-zero`; empty if none does.
        text: One or two sentences that say how it came about, as far as is known.
        values: What was looked at: name to a short description of what it held.
    """

    event: int
    rule: str
    text: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TracedParameter:
    """A leaf of the graph, or a tensor of `params` that requires grad.

    Attributes:
        names: All its names in `params`; empty if it has none.
        meta: Shape and dtype.
        node: Id of its AccumulateGrad node; None if the traced graph does not reach it.
        l2: Norm of its values when the trace began; None at `stats="meta"`, or where it cannot
            be computed.
    """

    names: tuple[str, ...]
    meta: TensorMeta
    node: int | None
    l2: float | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a trace was made."""

    torch_version: str = ""
    python_version: str = ""
    platform: str = ""
    settings: Mapping[str, Plain] = field(default_factory=dict)
