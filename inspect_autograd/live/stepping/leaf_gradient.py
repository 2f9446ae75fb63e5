"""The gradient of a leaf in the layout in which `backward` leaves it in `.grad`."""

from __future__ import annotations

import torch

__all__ = ["as_leaf_gradient"]


def as_leaf_gradient(leaf: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The gradient itself if its strides are those of the leaf, else a copy that has them.

    The layout contract of `AccumulateGrad` (torch/csrc/autograd/functions/accumulate_grad.h): a
    gradient has the strides of its leaf if that is dense and does not overlap, else those of a
    contiguous tensor. Gradients of another kind than strided stay as they are.
    """
    if gradient.layout is not torch.strided or leaf.layout is not torch.strided:
        return gradient
    if gradient.is_nested or leaf.is_nested or gradient.shape != leaf.shape:
        return gradient
    # `empty_like` keeps the strides of what is dense and does not overlap, as the contract does.
    kept = torch.empty_like(leaf.detach(), device="meta").stride()
    sizes = gradient.shape
    dense = kept == leaf.stride()
    wanted = kept if dense else torch.empty(sizes, device="meta").stride()
    pairs = zip(sizes, gradient.stride(), wanted, strict=True)
    if all(size == 1 or stride == other for size, stride, other in pairs):
        return gradient
    return gradient.new_empty_strided(sizes, wanted).copy_(gradient)
