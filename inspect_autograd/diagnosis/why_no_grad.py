"""WhyNoGrad: for every parameter without a gradient the one reason why it has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..graph.creation import SourceLine
from ..graph.tensor_meta import TensorMeta
from .records import Certainty

__all__ = ["REASONS", "MissingGradient", "NoGradReason", "WhyNoGrad"]

NoGradReason = Literal[
    "cut",
    "not a leaf",
    "loss without graph",
    "module not called",
    "not in this loss",
    "not in the graph",
    "nothing arrived",
    "not asked for",
    "gone",
    "cleared",
    "backward not run",
    "frozen",
]

REASONS: Mapping[NoGradReason, str] = {
    "cut": "its path to the loss was cut",
    "not a leaf": "it is no leaf, but the result of a computation",
    "loss without graph": "the loss carries no graph",
    "module not called": "it was never used in the forward pass",
    "not in this loss": "it was used, but its output is not in this loss",
    "not in the graph": "the graph of the loss does not reach it",
    "nothing arrived": "a backward pass came by, but no gradient arrived",
    "not asked for": "the backward pass was not to fill its .grad",
    "gone": "a backward pass has run, but its .grad is None",
    "cleared": "it had a gradient, which was cleared",
    "backward not run": "backward() has not run yet",
    "frozen": "it is frozen (requires_grad=False)",
}
"""What each reason means, the worst first."""


@dataclass(frozen=True, slots=True)
class MissingGradient:
    """One parameter without a gradient.

    Attributes:
        names: All its names, as the model has them.
        meta: Shape, dtype, device; None for a module in a plain container.
        reason: One of `REASONS`.
        text: What is known of it here.
        source: The line to change, where it is known.
        certainty: As of a Diagnosis.
    """

    names: tuple[str, ...]
    meta: TensorMeta | None
    reason: NoGradReason
    text: str = ""
    source: SourceLine | None = None
    certainty: Certainty = "certain"

    @property
    def name(self) -> str:
        """Its first name."""
        return self.names[0]


@dataclass(frozen=True, slots=True, repr=False)
class WhyNoGrad:
    """Which parameters have no gradient, and why; `print` shows it.

    Attributes:
        missing: One for each parameter without a gradient, worst reason first.
        with_gradient: How many parameters have one.
        zero: Names of those whose gradient is there, but exactly 0 in every element.
        notes: What could not be known, and how to know more.
    """

    missing: tuple[MissingGradient, ...]
    with_gradient: int = 0
    zero: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[NoGradReason, int]:
        """How many parameters have each reason, worst first; only those that occur."""
        counts = Counter(row.reason for row in self.missing)
        return {reason: counts[reason] for reason in REASONS if reason in counts}

    def __getitem__(self, name: str) -> MissingGradient:
        """The entry of one parameter, by any of its names."""
        for row in self.missing:
            if name in row.names:
                return row
        raise KeyError(name)

    def __str__(self) -> str:
        from ..render.why_no_grad_text import render_why_no_grad

        return render_why_no_grad(self)

    def __repr__(self) -> str:
        parts = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
        have = f"{self.with_gradient or 'none'} {'have' if self.with_gradient > 1 else 'has'}"
        return f"<WhyNoGrad: {have} a gradient; {parts or 'none is without'}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))
