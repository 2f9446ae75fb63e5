"""What a recorded program did to tensors besides computing: cuts and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

MANNERS: Mapping[CutReason, str] = {
    "no_grad": " under no_grad",
    "inference_mode": " under inference_mode",
    "not differentiable": " (not differentiable)",
    "Python value": " (a Python value)",
    "copy": " (a copy)",
    "checkpoint": " (a reentrant checkpoint)",
    "custom Function": " (a custom Function)",
}
"""How a cut came about, where the name of the function does not say it."""
SHOWN = 3
"""Names in one line."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a tensor that carried a graph went on without one.

    Attributes:
        reason: `detach`; `data`; `no_grad`; `inference_mode`; `not differentiable` (an integer
            or boolean result: `argmax`, a comparison, a cast; or a function of PyTorch without a
            derivative); `Python value` (`item`, `tolist`, `numpy`, `float()`); `copy`
            (`torch.tensor(t)`); `checkpoint` (a reentrant checkpoint none of whose inputs
            requires grad); `custom Function` (its outputs are marked as not differentiable, or
            leave no graph); `unknown`.
        function: What was called.
        source: The user's line.
        scope: Path of the module; None outside of any.
        count: How often it happened there.
        meta: Of the first tensor that came out; None for a Python value.
        parameters: Names of the leaves behind what went in, sorted; what has no name is described
            (`f32[3] leaf`).
        lost: Those of `parameters` that no backward pass reached, though what came out of the cut
            went on into one of the losses (or left PyTorch, so that nobody can tell). Empty while
            no backward pass has begun at all.
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

    def __str__(self) -> str:
        what = self.function + MANNERS.get(self.reason, "")
        times = f", ×{self.count}" if self.count > 1 else ""
        return f"{what}{_place(self.source, self.scope)}{times}: {self._consequence()}"

    def _consequence(self) -> str:
        count = len(self.lost)
        plural = "" if count == 1 else "s"
        if count and self.reaches_loss is None:
            return (
                f"{count} parameter{plural} got no gradient, maybe because of this, since the "
                f"value left PyTorch: {_first(self.lost)}"
            )
        if count:
            their = "its" if count == 1 else "their"
            return f"{count} parameter{plural} lost {their} path to the loss: {_first(self.lost)}"
        if not self.parameters:
            return "no parameter was behind it"
        if self.reaches_loss is False:
            return "no parameter lost anything, since no loss was computed from the result"
        count = len(self.parameters)
        whose = {1: "the one parameter", 2: "both parameters"}.get(count, f"all {count} parameters")
        return f"{whose} behind it {'was' if count == 1 else 'were'} reached in another way"


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
        version_after: And afterwards. Some kernels do not count, so it may be the same: those of
            batch norm for its statistics, and fused ones of optimizers.
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

    @property
    def target(self) -> str:
        """What was written: its name, `a view of weight`, or `a tensor without a name`."""
        if self.tensor:
            return self.tensor
        return f"a view of {self.view_of}" if self.view_of else "a tensor without a name"

    def __str__(self) -> str:
        versions = ""
        if self.version_before is not None and self.version_after is not None:
            versions = f", version {self.version_before} → {self.version_after}"
        place = _place(self.source, self.scope)
        return f"{self.function}{place}: wrote {self.target}, {self.meta}{versions}"


def _place(source: SourceLine | None, scope: str | None) -> str:
    """` at model.py:12 in encoder`, as far as it is known."""
    line = "" if source is None else f" at {source.short}"
    return line + ("" if scope is None else f" in {scope or 'the outermost module'}")


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
