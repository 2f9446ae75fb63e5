"""Turn what a node keeps besides tensors into plain values that a record can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..graph.records import Plain
from .tensor_meta import TensorMetaCache

__all__ = ["to_plain"]

MAX_TEXT = 200
MAX_ITEMS = 64
MAX_DEPTH = 4
_TORCH_VALUES = (torch.dtype, torch.device, torch.layout, torch.memory_format)


def to_plain(value: Any, metas: TensorMetaCache, depth: int = 0) -> Plain:
    """A plain value that says the same, bounded in length.

    No code of the user's runs: an object of a type that is not known becomes the name of its
    type, never its `repr`. A tensor becomes its shorthand (`f32[3]`).
    """
    if type(value) is int:
        # Some signed C++ attributes reach Python as unsigned: -1 arrives as 2**64 - 1.
        return value - 2**64 if 2**63 <= value < 2**64 else value
    if type(value) is tuple and all(type(item) is int for item in value) and len(value) <= 8:
        return tuple([to_plain(item, metas) for item in value])
    match value:
        case None | bool():
            return value
        case float() if type(value) is float:
            return value if math.isfinite(value) else str(value)
        case complex() if type(value) is complex:
            return str(value)
        case str():
            return value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
        case torch.Tensor():
            return str(metas.describe(value))
        case list() | tuple() if depth < MAX_DEPTH:
            plain = [to_plain(item, metas, depth + 1) for item in value[:MAX_ITEMS]]
            return (*plain, f"… {len(value)} in all") if len(value) > MAX_ITEMS else tuple(plain)
        case _ if isinstance(value, _TORCH_VALUES):
            return str(value).removeprefix("torch.")
        case torch.SymInt() | torch.SymFloat() | torch.SymBool():
            return str(value)
        case Mapping():
            return f"<{type(value).__name__} of {len(value)}>"
        case _:
            return f"<{type(value).__name__}>"
