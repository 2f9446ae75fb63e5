"""The tensors among the arguments and results of a call."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

import torch

__all__ = ["find_tensors"]

Tensor = torch.Tensor
# Asking whether one of these is a tensor takes longer than asking whether it is one of these.
_SCALARS = frozenset((int, float, bool, NoneType, str, torch.dtype, torch.device, slice, complex))
_CONTAINERS = (tuple, list)
MAX_DEPTH = 3
"""How deep containers are looked into: `torch.tensor([[a, b], [c, d]])`."""


def find_tensors(
    args: Any, kwargs: Mapping[str, Any] | None = None, depth: int = MAX_DEPTH
) -> list[torch.Tensor]:
    """The tensors in the arguments of a call, also those in lists and tuples.

    This runs for many calls of a step, so it is written for speed.
    """
    found: list[torch.Tensor] = []
    values = (*args, *kwargs.values()) if kwargs else args
    for value in values:
        kind = value.__class__
        if kind is Tensor:
            found.append(value)
        elif kind in _SCALARS:
            continue
        elif isinstance(value, _CONTAINERS):
            if depth:
                found += find_tensors(value, None, depth - 1)
        elif isinstance(value, Tensor):
            found.append(value)
    return found
