"""Numbers about one gradient, in as few passes over its elements as can be.

The smallest and the largest element carry NaN and show Inf, so they answer "finite?" too, where
`isfinite().all()` would cost ten times as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch

from ...events.records import StatsLevel
from ..private_torch import has_dispatch

__all__ = [
    "LONG_ROW",
    "SMALL",
    "Level",
    "Numbers",
    "UnreducedError",
    "reduce_small",
    "reduce_strided",
    "reduce_tensor",
]

SMALL = 32
"""Up to so many elements Python computes faster than torch can be called."""

_ROW, _SHORT_ROW, LONG_ROW = 4096, 64, 65_536
"""Elements that are added up one after the other: where it can be chosen, and where the length of
a dimension is taken instead."""

_NARROW = (torch.float16, torch.bfloat16)
"""Types whose squares overflow early, so their norms are taken in float32."""


Level = StatsLevel | Literal["norm"]
"""`norm` is for parameters, of which nothing else is wanted."""

Numbers = list[Any]
"""The `NUMBERS` numbers of a TensorStats in their order, None for what was not asked for; plain
numbers, or tensors of no dimension that hold them on a device."""

_NO_COUNTS: Numbers = [None, None, None, None]


class UnreducedError(Exception):
    """A tensor that cannot be reduced; the message says why."""


def reduce_small(values: list[float], level: Level) -> Numbers:
    """The numbers of a few real values.

    Args:
        values: At least one.
        level: `norm`, `basic` or `full`.
    """
    l2 = math.hypot(*values)
    low, high = min(values), max(values)
    nan_count = inf_count = 0
    if not math.isfinite(l2):
        nan_count = sum(map(math.isnan, values))
        inf_count = sum(map(math.isinf, values))
        if nan_count:
            # hypot prefers Inf, min and max take what comes first.
            l2 = low = high = math.nan
    if level != "full":
        return [l2, low, high, *_NO_COUNTS]
    total = sum(values) if nan_count or inf_count else math.fsum(values)
    mean = total / len(values)
    return [l2, low, high, mean, values.count(0.0), nan_count, inf_count]


def reduce_tensor(tensor: torch.Tensor, level: Level) -> tuple[Numbers, str]:
    """The numbers of any tensor, as tensors of no dimension on its device, and a note on them.

    Args:
        tensor: Without a graph.
        level: `norm`, `basic` or `full`.

    Raises:
        UnreducedError: It cannot be reduced.
        RuntimeError: Torch has no kernel for one of the reductions.
    """
    tensor, note = _dense(tensor)
    if tensor.numel() == 0:
        zero = 0 if level == "full" else None
        return [0.0, None, None, None, zero, zero, zero], note or "it has no elements"
    return reduce_strided(tensor, level), note


def reduce_strided(tensor: torch.Tensor, level: Level) -> Numbers:
    """The same for a strided tensor that has elements and is not nested."""
    tensor, times = _without_repetition(tensor)
    parts = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    l2 = _norm(parts)
    if times != 1:
        l2 = l2 * math.sqrt(times)
    if level == "norm":
        return [l2, None, None, *_NO_COUNTS]
    low, high = _min_and_max(parts)
    if level == "basic":
        return [l2, low, high, *_NO_COUNTS]
    wide = torch.float32 if tensor.dtype in _NARROW else None
    counts = [
        None if tensor.is_complex() else tensor.mean(dtype=wide),
        (tensor.numel() - torch.count_nonzero(tensor)) * times,
        *_nonfinite_counts(tensor, low, high, times),
    ]
    return [l2, low, high, *counts]


def _norm(tensor: torch.Tensor) -> torch.Tensor:
    """The Euclidean norm.

    `vector_norm` adds up float32 squares one after the other, and of ten million elements loses
    the fourth digit. Rows first, then the norm of their norms, is exact to the seventh and takes
    no longer.
    """
    norm: Callable[..., torch.Tensor] = torch.linalg.vector_norm
    wide = torch.float32 if tensor.dtype in _NARROW else None
    if tensor.numel() <= LONG_ROW:
        return norm(tensor, dtype=wide)
    strides = tensor.stride()
    dim = strides.index(1) if 1 in strides else -1
    size = tensor.shape[dim]
    if _SHORT_ROW <= size <= LONG_ROW:
        return _norm(norm(tensor, dim=dim, dtype=wide))
    if not tensor.is_contiguous():
        return norm(tensor, dtype=wide)
    flat = tensor.view(-1)
    whole = flat.numel() // _ROW * _ROW
    norms = norm(flat[:whole].view(-1, _ROW), dim=1, dtype=wide)
    if whole < flat.numel():
        norms = torch.cat([norms, norm(flat[whole:], dtype=wide).reshape(1)])
    return _norm(norms)


def _nonfinite_counts(
    tensor: torch.Tensor, low: torch.Tensor, high: torch.Tensor, times: int
) -> tuple[Any, Any]:
    """How many elements are NaN and how many are infinite."""
    # On the CPU it costs nothing to look, and mostly saves two passes that take longest.
    if tensor.is_cpu and math.isfinite(low.item()) and math.isfinite(high.item()):
        return 0, 0
    return tensor.isnan().sum() * times, tensor.isinf().sum() * times


def _min_and_max(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two kernels on the CPU, for many numbers of a wide type.

    Each is three times as fast as `aminmax`; for a transposed tensor, as the gradient of a weight
    mostly is, ten times.
    """
    if tensor.is_cpu and not (
        tensor.is_contiguous() and (tensor.dtype in _NARROW or tensor.numel() <= _ROW)
    ):
        return tensor.amin(), tensor.amax()
    low, high = torch.aminmax(tensor)
    return low, high


def _dense(tensor: torch.Tensor) -> tuple[torch.Tensor, str]:
    """A strided tensor with the elements to be reduced, and what has to be said about them."""
    for name, refuse in _REFUSED.items():
        if refuse(tensor):
            raise UnreducedError(name)
    if tensor.layout is torch.strided:
        return tensor, ""
    note = "numbers of the stored elements only; the others are 0"
    if tensor.layout is torch.sparse_coo:
        # An element may be stored in pieces that have to be added up first.
        return tensor.coalesce().values(), note
    if tensor.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        return tensor.values(), note
    raise UnreducedError(
        f"tensors of layout {str(tensor.layout).removeprefix('torch.')} are not reduced"
    )


_REFUSED: dict[str, Callable[[torch.Tensor], bool]] = {
    "nested tensors are not reduced": lambda tensor: tensor.is_nested,
    "a tensor on the meta device has no elements": lambda tensor: tensor.is_meta,
    "operators of this tensor subclass are its own code, which is not run": (
        lambda tensor: has_dispatch(type(tensor))
    ),
}


def _without_repetition(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Each element that is there once, and how often it is repeated.

    An expanded tensor, as `sum` returns one, holds one element at many indices.
    """
    times = 1
    if 0 in tensor.stride():
        for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
            if stride == 0 and size > 1:
                tensor = tensor.narrow(dim, 0, 1)
                times *= size
    return tensor, times
