"""What the real engine does: which nodes it runs, in which order, and with what result.

Found with hooks of torch alone, on nodes that were followed without `inspect_autograd.live`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

import inspect_autograd as ia

from .reference import assert_same_bits

__all__ = ["assert_same_gradients", "assert_steps_equal", "order_of_engine"]


def order_of_engine(live: Sequence[Any], run: Callable[[], object]) -> list[int]:
    """Indices of the live nodes that ran while `run` was called, in that order.

    A hook behind a node sees only nodes that ran: an input of `autograd.grad` does not.
    """
    order: list[int] = []

    def note(id: int, grad_inputs: object, grad_outputs: object) -> None:
        order.append(id)

    handles = [node.register_hook(partial(note, id)) for id, node in enumerate(live)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return order


def assert_same_gradients(
    found: Sequence[Tensor | None], expected: Sequence[Tensor | None]
) -> None:
    """Equal bit by bit, and in the order of their elements in memory.

    The stride of a dimension of size 1 says nothing of that, and depends on whether the engine
    was the only one to hold a tensor that it added to.
    """
    for gradients in zip(found, expected, strict=True):
        assert len({None if g is None else tuple(g.shape) for g in gradients}) == 1
    assert_same_bits([*map(_squeezed, found)], [*map(_squeezed, expected)])


def _squeezed(gradient: Tensor | None) -> Tensor | None:
    if gradient is None or gradient.layout is not torch.strided or gradient.is_nested:
        return gradient
    return gradient.detach().squeeze()


def assert_steps_equal(
    stepper: ia.Stepper, order: Sequence[int], expected: Sequence[Tensor | None]
) -> None:
    """The stepper runs the nodes in this order and ends with these gradients, bit by bit."""
    assert [step.id for step in stepper if step.ran] == list(order)
    assert_same_gradients(stepper.gradients, expected)
