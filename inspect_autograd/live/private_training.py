"""The private names of torch that watching a training relies on; see `private_torch`.

Apart from it only because of its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch

__all__ = ["foreach_norms", "scale_of"]


def foreach_norms(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The Euclidean norms of tensors of one device and type, in as few kernels as torch can.

    `torch._foreach_norm` (1.13 and newer), with the type to add up in from 2.5 on; what float16
    cannot hold is infinite without it. `torch.nn.utils.get_total_norm` is the public name, but
    gives one number for all of them. Without it each tensor is reduced by itself.
    """
    foreach = getattr(torch, "_foreach_norm", None)
    if foreach is None:
        return [torch.linalg.vector_norm(tensor) for tensor in tensors]
    if tensors[0].dtype in (torch.float16, torch.bfloat16):
        with suppress(TypeError):
            return list(foreach(tensors, 2, torch.float32))
    return list(foreach(tensors, 2))


def scale_of(scaler: Any) -> torch.Tensor | None:
    """The loss scale of a GradScaler where it lies (`_scale`, 1.6 and newer).

    `get_scale()` would wait for the device. None before the first `scale()`, and where torch has
    another name for it: then skipped steps are not noticed.
    """
    scale = getattr(scaler, "_scale", None)
    return scale if isinstance(scale, torch.Tensor) else None
