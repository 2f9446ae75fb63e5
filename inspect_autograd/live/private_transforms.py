"""The private names of torch that a failed transform is looked into by; see `private_torch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["is_gradient_transform", "transformed_function"]


def is_gradient_transform(module: object, function: str) -> bool:
    """Whether a frame is the one in which `torch.func.grad` checks what the function returned.

    `grad_and_value_impl` of `torch._functorch.eager_transforms` (2.1 and newer). Without it the
    function of the user is not found, and the call of the transform is named.
    """
    return module == "torch._functorch.eager_transforms" and function == "grad_and_value_impl"


def transformed_function(variables: Mapping[str, Any]) -> Any:
    """What the transform was given: `func` among the variables of that frame (2.1 and newer)."""
    return variables.get("func")
