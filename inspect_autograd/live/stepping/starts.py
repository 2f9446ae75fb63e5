"""What a pass starts with: the roots, a gradient for each, and the inputs that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...errors import ArgumentError, ArgumentTypeError
from ..call_nodes import find_call_nodes
from ..private_torch import input_metadata
from ..roots import LiveRoot
from ..walk import LiveGraph
from .engine import Start
from .validate import fit_gradient

__all__ = ["find_inputs", "find_starts"]


def find_starts(roots: Sequence[LiveRoot], gradient: Any, live: LiveGraph) -> list[Start]:
    """A gradient for every root, as `torch.autograd.backward` fills them in.

    Args:
        roots: The roots.
        gradient: The argument: a tensor, a sequence of them, or None for what can be implied.
        live: The graph.

    Raises:
        ArgumentError: No gradient can be implied, or one does not fit its root.
        ArgumentTypeError: It is no tensor.
    """
    given = _as_list(gradient, len(roots))
    return [
        Start(live.ids[root.node], root.slot, _gradient_for(root, value))
        for root, value in zip(roots, given, strict=True)
    ]


def _as_list(gradient: Any, count: int) -> list[Any]:
    if gradient is None:
        return [None] * count
    if isinstance(gradient, torch.Tensor):
        gradient = [gradient]
    if not isinstance(gradient, list | tuple):
        raise ArgumentTypeError(
            f"gradient is of type {type(gradient).__name__}; expected a tensor, or one per root",
            remedy="Give a tensor of the shape of the output, such as torch.ones_like(y).",
        )
    if len(gradient) != count:
        raise ArgumentError(
            f"gradient holds {len(gradient)} gradients; expected {count}, one per root",
            remedy="Give one for each tensor in outputs that has a graph, None for a scalar.",
        )
    return list(gradient)


def _gradient_for(root: LiveRoot, value: Any) -> torch.Tensor:
    tensor = root.tensor
    where = f"outputs{root.path}"
    (entries,) = input_metadata([root.node])
    expected = entries[root.slot]
    if value is None:
        return _implied(where, tensor, expected)
    if not isinstance(value, torch.Tensor):
        raise ArgumentTypeError(
            f"gradient for {where} is of type {type(value).__name__}; expected a tensor",
            remedy="Give a tensor of the shape of the output, such as torch.ones_like(y).",
        )
    shape = tuple(tensor.shape if tensor is not None else expected.shape)
    if value.shape != shape:
        raise ArgumentError(
            f"gradient for {where} has shape {list(value.shape)}; expected {list(shape)}, "
            "the shape of that output",
            remedy="The gradient weighs each element of the output: torch.ones_like(y) takes "
            "their sum.",
        )
    if value.dtype.is_complex != expected.dtype.is_complex:
        raise ArgumentError(
            f"gradient for {where} is of type {value.dtype}; expected one like {expected.dtype}",
            remedy=f"Convert it: gradient.to({expected.dtype}).",
        )
    return fit_gradient(value, expected, f"gradient for {where}")


def _implied(where: str, tensor: Any, expected: Any) -> torch.Tensor:
    like = tensor if tensor is not None else expected
    numel = 1
    for size in like.shape:
        numel *= size
    if numel != 1:
        raise ArgumentError(
            f"gradient is None, but {where} has {numel} elements (shape {list(like.shape)}); "
            "a gradient can be implied only for one",
            remedy="Step from a single number (y.sum()), or say how much each element weighs: "
            "gradient=torch.ones_like(y).",
        )
    if not like.dtype.is_floating_point:
        raise ArgumentError(
            f"gradient is None, but {where} is of type {like.dtype}; one can be implied only for "
            "a real number",
            remedy="Give it: gradient=torch.ones_like(y).",
        )
    if tensor is not None:
        return torch.ones_like(tensor.detach(), memory_format=torch.preserve_format)
    return torch.ones(tuple(like.shape), dtype=like.dtype, device=like.device)


def find_inputs(inputs: Any, live: LiveGraph) -> tuple[list[Any], list[tuple[int, int] | None]]:
    """The inputs, and node and slot of each; None for one that the pass does not reach.

    Raises:
        ArgumentError: There are none, or one needs no gradient.
        ArgumentTypeError: They are no tensors.
    """
    wanted = [inputs] if isinstance(inputs, _INPUT) else inputs
    if not isinstance(wanted, list | tuple) or not all(isinstance(v, _INPUT) for v in wanted):
        raise ArgumentTypeError(
            f"inputs is of type {type(inputs).__name__}; expected a tensor or a list of tensors",
            remedy="Give the tensors whose gradients are wanted, as to torch.autograd.grad.",
        )
    if not wanted:
        raise ArgumentError(
            "inputs is empty; expected the tensors whose gradients are wanted",
            remedy="Leave it out to have the gradients of all leaves.",
        )
    places: list[tuple[int, int] | None] = []
    for position, (node, slot) in enumerate(find_call_nodes(wanted)):
        if node is None:
            raise ArgumentError(
                f"inputs[{position}] does not require grad, so it is in no graph",
                remedy="Call requires_grad_() on it before the forward pass.",
            )
        id = live.ids.get(node)
        places.append(None if id is None else (id, slot))
    return list(wanted), places


_INPUT = torch.Tensor | torch.autograd.graph.GradientEdge
