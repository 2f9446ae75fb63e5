"""The random gradients that a node is called with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..private_torch import LiveNode, input_metadata
from .forward_call import CannotCheckError, ForwardCall

__all__ = ["Gradients", "join_gradients", "make_gradients", "match_outputs"]

Gradients = list[torch.Tensor | None]
"""What a node receives: one per output of its forward function."""


def match_outputs(node: LiveNode, call: ForwardCall) -> list[int | None]:
    """For each gradient that a node receives, which output of the call it belongs to.

    Returns:
        Indices in `call.outputs`; None where no gradient ever comes.

    Raises:
        CannotCheckError: It cannot be told.
    """
    metas = next(iter(input_metadata([node])))
    outputs = call.outputs or []
    matched: list[int | None] = []
    if call.is_custom:
        for index, meta in enumerate(metas):
            output = outputs[index] if index < len(outputs) else None
            known = call.differentiable
            carries = _is_like(output, meta) and (known is None or known[index])
            matched.append(index if carries else None)
    else:
        # Some outputs of an operator, such as indices, have no gradient and no slot.
        rest = iter(enumerate(outputs))
        matched = [next((i for i, o in rest if _is_like(o, meta)), None) for meta in metas]
        if None in matched:
            raise CannotCheckError("which of its outputs a gradient belongs to is not known")
    if all(index is None for index in matched):
        raise CannotCheckError("none of its outputs carries a gradient")
    return matched


def _is_like(output: Any, meta: Any) -> bool:
    if not isinstance(output, torch.Tensor):
        return False
    if not (output.is_floating_point() or output.is_complex()):
        return False
    return bool(output.dtype == meta.dtype and output.shape == tuple(meta.shape))


def join_gradients(row: Gradients, receives: Sequence[int | None]) -> torch.Tensor:
    """One row as one vector in double precision, as finite differences need it."""
    parts = [
        gradient.reshape(-1)
        for gradient, index in zip(row, receives, strict=True)
        if index is not None and gradient is not None
    ]
    wide = torch.complex128 if any(part.is_complex() for part in parts) else torch.float64
    return torch.cat([part.to(wide) for part in parts])


def make_gradients(
    call: ForwardCall, receives: Sequence[int | None], generator: torch.Generator
) -> list[Gradients]:
    """Two rows of random gradients, and one of ones, for a node to receive."""
    outputs = call.outputs or []
    rows: list[Gradients] = [[], [], []]
    for slot, index in enumerate(receives):
        for number, row in enumerate(rows):
            if index is None:
                # The engine gives zeros for what no gradient came for.
                output = outputs[slot] if call.is_custom and slot < len(outputs) else None
                row.append(torch.zeros_like(output) if isinstance(output, torch.Tensor) else None)
            else:
                like = outputs[index]
                row.append(torch.ones_like(like) if number == 2 else _make_random(like, generator))
    return rows


def _make_random(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    dtype = torch.complex128 if like.dtype.is_complex else torch.float64
    values = torch.randn(like.shape, generator=generator, dtype=dtype)
    # What is sent to an output that is not finite, as a mask makes it, has no meaning.
    return torch.where(like.isfinite(), values.to(like.dtype).to(like.device), 0)
