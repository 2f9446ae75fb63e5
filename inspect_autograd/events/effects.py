"""What a recorded program did to tensors besides computing: cuts and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..graph.creation import SourceLine
from ..graph.tensor_meta import TensorMeta

__all__ = ["Cut", "CutReason", "Mutation"]

CutReason = Literal[
    "detach",
    "data",
    "no_grad",
    "inference_mode",
    "not differentiable",
    "Python value",
    "copy",
    "checkpoint",
    "custom Function",
    "unknown",
]


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a tensor that carried a graph went on without one.

    Attributes:
        reason: `detach`; `data`; `no_grad`; `inference_mode`; `not differentiable` (an integer
            or boolean result: `argmax`, a comparison, a cast); `Python value` (`item`, `tolist`,
            `numpy`, `float()`); `copy` (`torch.tensor(t)`); `checkpoint` (a reentrant checkpoint
            none of whose inputs requires grad); `custom Function` (its outputs are marked as not
            differentiable, or leave no graph); `unknown`.
        function: What was called.
        source: The user's line.
        scope: Path of the module; None outside of any.
        count: How often it happened there.
        meta: Of the first tensor that came out; None for a Python value.
        parameters: Names of the leaves behind what went in, sorted; what has no name is described
            (`f32[3] leaf`).
        lost: Those of `parameters` that no backward pass reached, though what came out of the cut
            went on into one of the losses (or left PyTorch, so that nobody can tell).
        reaches_loss: Whether a tensor that was computed from what came out was part of a loss;
            None where that cannot be told, since it left PyTorch.
        step: The step in which it happened first.
    """

    reason: CutReason
    function: str
    source: SourceLine | None
    scope: str | None
    count: int
    meta: TensorMeta | None
    parameters: tuple[str, ...]
    lost: tuple[str, ...]
    reaches_loss: bool | None
    step: int


@dataclass(frozen=True, slots=True)
class Mutation:
    """One tensor was written in place.

    Attributes:
        function: What was called: `Tensor.add_`, `Tensor.__setitem__`, `torch.add` with `out=`,
            `torch.optim.SGD.step`.
        source: The user's line.
        scope: Path of the module; None outside of any.
        tensor: Its name in the model or in `params`; empty if it has none.
        meta: Its shape and type.
        version_before: How often it had been written before (`Tensor._version`); None for an
            inference tensor, which does not count.
        version_after: And afterwards.
        step: The step in which it happened.
        thread: Name of the thread.
        time_ns: When, counted from the start of the recording.
        view_of: Where the tensor is a view of memory that has a name: that name.
    """

    function: str
    source: SourceLine | None
    scope: str | None
    tensor: str
    meta: TensorMeta
    version_before: int | None
    version_after: int | None
    step: int
    thread: str
    time_ns: int
    view_of: str = ""
