"""Pause: a moment of a backward pass, as a condition and a prompt see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch

from ...events.records import TensorStats
from ...graph.records import Node
from ..private_torch import unobserved
from ..tensor_meta import TensorMetaCache
from ..tracing.gradient_stats import GradientStats

__all__ = ["Gradients", "Pause", "measure"]

Gradients = tuple[torch.Tensor | None, ...]


class Pause:
    """A node of a running backward pass, right before or right after it runs.

    It holds the gradients themselves, so do not keep it. Its numbers are computed when they are
    asked for, which on an accelerator waits for the device.

    Attributes:
        node: The node's record; its id is the one that `capture` gives to the same outputs.
        when: `before` the node runs, or `after` it.
        received: What it receives, one gradient per output of its forward function.
        returned: What it returned, one gradient per input of its forward function; None before
            it runs.
        pass_number: Which pass of the block it is, counted from 0.
    """

    __slots__ = ("_stats", "node", "pass_number", "received", "returned", "when")

    def __init__(
        self, node: Node, received: Gradients, returned: Gradients | None, pass_number: int
    ) -> None:
        self.node = node
        self.when: Literal["before", "after"] = "before" if returned is None else "after"
        self.received = received
        self.returned = returned
        self.pass_number = pass_number
        self._stats: tuple[TensorStats | None, ...] | None = None

    @property
    def gradients(self) -> Gradients:
        """What it received, if it has not run; else what it returned."""
        return self.received if self.returned is None else self.returned

    @property
    def stats(self) -> tuple[TensorStats | None, ...]:
        """Numbers about each of `gradients`; None for one that is None."""
        if self._stats is None:
            self._stats = measure(self.gradients)
        return self._stats

    @property
    def norm(self) -> float:
        """Euclidean norm of all of `gradients` together; `nan` where it cannot be computed."""
        norms = [stats.l2 for stats in self.stats if stats is not None]
        return math.hypot(*(math.nan if norm is None else norm for norm in norms))

    @property
    def is_finite(self) -> bool | None:
        """Whether every element of `gradients` is finite; None where it is not known."""
        known = [stats.is_finite for stats in self.stats if stats is not None]
        return False if False in known else None if None in known else True

    def __repr__(self) -> str:
        return f"<Pause {self.when} #{self.node.id} {self.node.name}>"


def measure(gradients: Sequence[torch.Tensor | None]) -> tuple[TensorStats | None, ...]:
    """Numbers about gradients; those of an accelerator are waited for."""
    stats = GradientStats("basic", TensorMetaCache())
    with torch.no_grad(), unobserved():
        positions = [stats.note(gradient) for gradient in gradients]
        stats.fetch()
    return tuple(None if position < 0 else stats.stats[position] for position in positions)
