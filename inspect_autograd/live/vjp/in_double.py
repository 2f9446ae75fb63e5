"""The same node once more, in double precision: to tell rounding from a wrong formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..node_types import describe_type, short_name
from ..private_torch import LiveNode
from .call_node import call_node, check_callable
from .finite_differences import Repeated
from .forward_call import CannotCheckError, ForwardCall, flatten

__all__ = ["return_in_double"]


def return_in_double(
    node: LiveNode,
    call: ForwardCall,
    repeated: Repeated,
    *,
    rows: Sequence[Sequence[torch.Tensor | None]],
    receives: Sequence[int | None],
    count: int,
) -> list[list[Any]] | None:
    """What a node that is like this one, but made in double precision, returns.

    Args:
        node: The node.
        call: The call that made it.
        repeated: The call, repeated.
        rows: What the node receives, several times.
        receives: As `match_outputs` gives it.
        count: How many values the node returns.

    Returns:
        The values for each row; None if there is no such node.
    """
    if repeated.dtype not in (torch.float64, torch.complex128):
        return None
    varied = {argument.tensor for argument in call.arguments}
    if call.random_state is not None:
        call.random_state.restore()
    try:
        with torch.enable_grad():
            inputs = [
                # Not a leaf, so that the forward function may write into it.
                tensor.clone().requires_grad_().clone() if index in varied else tensor.clone()
                for index, tensor in enumerate(repeated.inputs)
            ]
            outputs = flatten(call.repeat(inputs), is_custom=call.is_custom)
        first = next(index for index in receives if index is not None)
        like_it = outputs[first].grad_fn
        if like_it is None or short_name(like_it) != short_name(node):
            return None
        check_callable(like_it, describe_type(type(like_it)))
        return [call_node(like_it, _widen(row), count).values for row in rows]
    except (CannotCheckError, RuntimeError):
        return None


def _widen(row: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
    wide: list[torch.Tensor | None] = []
    for gradient in row:
        if gradient is not None and gradient.is_complex():
            wide.append(gradient.to(torch.complex128))
        elif gradient is not None and gradient.is_floating_point():
            wide.append(gradient.to(torch.float64))
        else:
            wide.append(gradient)
    return wide
