"""The nodes that the arguments of an engine call stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .private_torch import LiveNode, accumulate_grad_of

__all__ = ["find_call_nodes"]


def find_call_nodes(values: Sequence[Any]) -> list[tuple[LiveNode | None, int]]:
    """Node and output slot of each of the outputs or inputs of a call.

    Args:
        values: Tensors or GradientEdges.

    Returns:
        None for the node of what has no graph; the engine will refuse that itself.
    """
    return [_find(value) for value in values]


def _find(value: Any) -> tuple[LiveNode | None, int]:
    if isinstance(value, torch.autograd.graph.GradientEdge):
        return value.node, value.output_nr
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return None, 0
    try:
        if value.grad_fn is not None:
            return value.grad_fn, value.output_nr
        edge = accumulate_grad_of(value)
    except (RuntimeError, AttributeError):
        # A view that an in-place change has spoiled; the wrapper of a function transform.
        return None, 0
    return edge.node, edge.output_nr
