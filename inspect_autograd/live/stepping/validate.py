"""Fit a gradient to where it goes, as the engine does with all that a node returns."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import InspectAutogradError

__all__ = ["GradientRefusedError", "fit_gradient"]


class GradientRefusedError(InspectAutogradError, RuntimeError):
    """A node returned a gradient that does not fit where it goes; the engine refuses it, too."""


def fit_gradient(gradient: torch.Tensor, expected: Any, origin: object) -> torch.Tensor:
    """The gradient in the shape, type and device of the tensor that it belongs to.

    `validate_outputs` of torch/csrc/autograd/engine.cpp: what was broadcast is summed (the bias of
    a Linear), what was cast is cast back, and a scalar of another device is moved.

    Args:
        gradient: What the node returned.
        expected: The entry of the `_input_metadata` of the node it goes to.
        origin: Which gradient of which node it is; is asked for its text only for an error.

    Raises:
        GradientRefusedError: Its shape, type or device cannot belong to that tensor.
    """
    if not expected.is_nested_tensor and not gradient.is_nested:
        shape = tuple(expected.shape)
        if gradient.shape != shape:
            gradient = _reduce(gradient, shape, origin)
    dtype = expected.dtype
    if gradient.dtype != dtype:
        if not gradient.dtype.is_floating_point and gradient.dtype.is_complex != dtype.is_complex:
            raise GradientRefusedError(
                f"{origin} is of type {gradient.dtype}; expected one like {dtype}",
                remedy="Return floating point numbers from its backward.",
            )
        gradient = gradient.to(dtype)
    if gradient.device != expected.device:
        if gradient.dim():
            raise GradientRefusedError(
                f"{origin} is on {gradient.device}; expected {expected.device}",
                remedy="Return it on the device of the input that it belongs to.",
            )
        gradient = gradient.to(expected.device)
    return gradient


def _reduce(gradient: torch.Tensor, shape: tuple[int, ...], origin: object) -> torch.Tensor:
    try:
        # at::sum_to of ATen/ExpandUtils.h: one sum over all dimensions that were broadcast, and
        # not one after the other, which adds in another order.
        return gradient.sum_to_size(shape)
    except RuntimeError:
        raise GradientRefusedError(
            f"{origin} has shape {list(gradient.shape)}; expected one that can be summed to "
            f"{list(shape)}",
            remedy="Return one gradient per input from its backward, in the shape of that input.",
        ) from None
