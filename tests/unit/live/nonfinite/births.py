"""Run programs whose backward pass makes NaN or Inf, and examine the nodes where that happens."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from inspect_autograd.live.nonfinite.examine import examine
from tests.conformance.plain_hooks import walk

__all__ = ["Seen", "births", "f16", "f32", "first_birth"]


class Seen(NamedTuple):
    """A node that received finite gradients and returned others, and what `examine` says of it."""

    node: str
    rule: str
    text: str
    values: dict[str, str]


def f32(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32, requires_grad=True)


def f16(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float16, requires_grad=True)


def births(loss: torch.Tensor, gradient: torch.Tensor | None = None) -> list[Seen]:
    """Every birth in `loss.backward(gradient)`, in the order of execution."""
    seen: list[Seen] = []

    def look(returned: Any, received: Any) -> None:
        if all(map(is_finite, received)) and not all(map(is_finite, returned)):
            node = torch._C._current_autograd_node()
            found = examine(node, received, returned)
            assert found is not None
            assert isinstance(node, torch.autograd.graph.Node)
            seen.append(Seen(node.name().rsplit("::", 1)[-1], *found))

    handles = [node.register_hook(look) for node in walk(loss.grad_fn)]
    try:
        loss.backward(gradient)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def first_birth(loss: torch.Tensor, gradient: torch.Tensor | None = None) -> Seen:
    found = births(loss, gradient)
    assert found, "every gradient is finite"
    return found[0]


def is_finite(gradient: torch.Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())
