"""Say in a few words what a tensor holds: how many elements are NaN, Inf or 0, and where."""

from __future__ import annotations

from typing import Any

import torch

from ..tensor_meta import TensorMetaCache

__all__ = ["count_where", "describe_tensor", "first_index", "format_number", "where_text"]


def first_index(mask: torch.Tensor) -> tuple[int, ...]:
    """Index of the first element that is True, in memory order of a contiguous tensor."""
    position = int(mask.reshape(-1).view(torch.uint8).argmax().item())
    index: list[int] = []
    for size in reversed(mask.shape):
        position, rest = divmod(position, size)
        index.append(rest)
    return tuple(reversed(index))


def count_where(mask: torch.Tensor) -> int:
    """How many elements are True."""
    return int(mask.sum().item())


def where_text(mask: torch.Tensor) -> str:
    """`2 of 5 elements, the first at [3]`."""
    total = mask.numel()
    if mask.dim() == 0:
        return "its only element"
    count = count_where(mask)
    place = ", ".join(map(str, first_index(mask)))
    return f"{count} of {total} element{'s' * (total != 1)}, the first at [{place}]"


def describe_tensor(
    tensor: torch.Tensor, mask: torch.Tensor | None = None, called: str = ""
) -> str:
    """`f32[5], 2 of 5 are 0, first at [3]`.

    Args:
        tensor: A dense tensor.
        mask: Elements to point out besides those that are NaN, Inf or 0.
        called: What these elements are, such as `-1`.
    """
    meta = str(TensorMetaCache().describe(tensor))
    if tensor.numel() == 0:
        return f"{meta}, empty"
    if tensor.dim() == 0:
        return f"{meta} = {format_number(tensor.item())}"
    is_bool = tensor.dtype is torch.bool
    masks = [("NaN", tensor.isnan()), *_infinities(tensor)]
    is_finite = not any(other.any() for _, other in masks)
    masks.append(("True", tensor) if is_bool else ("0", tensor == 0))
    if mask is not None and called not in dict(masks):
        masks.append((called, mask))
    parts = [_share(name, other) for name, other in masks if other.any()]
    if is_finite and not is_bool and not tensor.is_complex():
        parts += _range(tensor)
    return ", ".join([meta, *parts])


def _infinities(tensor: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    if tensor.is_complex():
        return [("Inf", tensor.isinf())]
    return [("Inf", tensor == torch.inf), ("-Inf", tensor == -torch.inf)]


def _range(tensor: torch.Tensor) -> list[str]:
    # Adding 0 makes a -0 a 0.
    low, high = (format_number(value.item() + 0) for value in torch.aminmax(tensor))
    if low != high:
        return [f"from {low} to {high}"]
    return [f"all {low}"] if low != "0" else []


def _share(name: str, mask: torch.Tensor) -> str:
    count = count_where(mask)
    place = ", ".join(map(str, first_index(mask)))
    verb = "is" if count == 1 else "are"
    return f"{count} of {mask.numel()} {verb} {name}, first at [{place}]"


def format_number(value: Any) -> str:
    """`0`, `-1`, `0.333333`, `6.55e+04`; `NaN` and `Inf` as they are written elsewhere."""
    if isinstance(value, bool | complex):
        return str(value)
    text = f"{value:.6g}"
    return {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}.get(text, text)
