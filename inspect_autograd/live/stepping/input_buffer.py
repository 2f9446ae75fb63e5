"""What has arrived for a node: the engine's InputBuffer, with the parts of each sum."""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["InputBuffer", "Part", "add_gradients"]


class Part(NamedTuple):
    """One gradient on its way into a node; several to one slot are added up.

    Attributes:
        slot: Which of the gradients that the node receives it is part of.
        source: Id of the node that returned it; None for the gradient that the pass starts with.
        source_slot: Which of the gradients that the source returned it is; of the gradients that
            the pass starts with, which root's.
        gradient: The gradient, fitted to the node's metadata; None where none was returned, which
            counts as arrived all the same.
    """

    slot: int
    source: int | None
    source_slot: int
    gradient: torch.Tensor | None


class InputBuffer:
    """The gradients that a node has got so far (torch/csrc/autograd/input_buffer.cpp).

    Attributes:
        sums: Per output slot, the sum so far; None where nothing has arrived.
        parts: All that has arrived, in the order in which it came.
    """

    __slots__ = ("parts", "sums")

    def __init__(self, slots: int) -> None:
        self.sums: list[torch.Tensor | None] = [None] * slots
        self.parts: list[Part] = []

    def add(self, part: Part) -> None:
        """Let a gradient arrive."""
        self.parts.append(part)
        if part.gradient is None:
            return
        before = self.sums[part.slot]
        self.sums[part.slot] = (
            part.gradient if before is None else add_gradients(before, part.gradient)
        )


def add_gradients(before: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
    """The sum, as `InputBuffer::accumulate` makes it, down to the last bit.

    Where nobody else can see `before`, the engine adds to it in place. Here a step keeps what it
    has seen, so the sum is a new tensor, whose elements lie in the same order: that of `before`.
    """
    if before.layout in (torch.sparse_coo, torch.sparse_csr):
        return more + before
    return before + more
