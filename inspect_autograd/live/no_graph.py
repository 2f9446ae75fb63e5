"""Say why a tensor carries no graph, as far as the tensor itself can tell."""

from __future__ import annotations

import torch

from .private_torch import is_functorch_wrapper

__all__ = ["explain_no_graph", "explain_spoiled_view"]


def explain_no_graph(tensor: torch.Tensor) -> str:
    """Why this tensor has no `grad_fn`: one clause, without a full stop.

    What leaves no mark on the tensor (`detach()`, `no_grad`, `torch.tensor(...)` around an old
    value all give the same tensor) is named as a possibility, not as a fact.
    """
    spoiled = explain_spoiled_view(tensor)
    if spoiled is not None:
        return spoiled
    if is_functorch_wrapper(tensor):
        return (
            "it is inside a function transform (torch.func.grad, vmap), which computes with "
            "wrappers of its own; capture what the transform returns"
        )
    if tensor.is_inference():
        return "it was made under torch.inference_mode(), where nothing is recorded"
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        dtype = str(tensor.dtype).removeprefix("torch.")
        return (
            f"its dtype {dtype} cannot have gradients (argmax, comparisons, rounding casts and "
            "indices end a graph)"
        )
    if isinstance(tensor, torch.nn.Parameter):
        return "it is a frozen parameter (requires_grad=False)"
    reason = "it does not require grad and has no grad_fn: it was given as plain data, or made "
    reason += "under torch.no_grad(), or cut off by detach(), .data, .item() or torch.tensor()"
    if not torch.is_grad_enabled():
        reason += "; gradients are disabled right here, so anything computed here has no graph"
    return reason


def explain_spoiled_view(tensor: torch.Tensor) -> str | None:
    """Why torch refuses to give the `grad_fn` of a view; None if it does not refuse."""
    try:
        _ = tensor.grad_fn
    except RuntimeError as error:
        return f"torch refuses its graph: {str(error).partition('. ')[0]}"
    return None
