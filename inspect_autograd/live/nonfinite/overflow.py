"""Overflow: the numbers are finite, what comes out of them is too large for the dtype."""

from __future__ import annotations

from math import isfinite

import torch

from .describe_values import first_index, format_number
from .double_precision import SUMS_OF_PRODUCTS, terms_of
from .scene import Finding, Scene

__all__ = ["check_overflow"]


def check_overflow(scene: Scene) -> Finding | None:
    """Applies to every node; runs after the rules about what was saved."""
    for slot, returned, bad in scene.bad_slots():
        if not (returned.is_floating_point() or returned.is_complex()):
            continue
        index = first_index(bad)
        finding = _check_element(scene, slot, returned, index)
        if finding is None and scene.name in SUMS_OF_PRODUCTS and not scene.unseen:
            finding = _must_be_overflow(scene, returned)
        if finding is not None:
            return finding
    return None


def _check_element(
    scene: Scene, slot: int, returned: torch.Tensor, index: tuple[int, ...]
) -> Finding | None:
    """Compute the first bad element again, in double precision."""
    try:
        terms = terms_of(scene, slot, index)
    except (LookupError, RuntimeError):  # Something that it needs was not saved or not looked at.
        return None
    if terms is None or not terms.numel() or not terms.isfinite().all():
        return None
    value = float(terms.sum().item())
    largest = float(terms.abs().max().item())
    limit = torch.finfo(returned.dtype).max
    if not isfinite(value):
        return None
    place = f" at [{', '.join(map(str, index))}]" if index else ""
    if abs(value) > limit:
        how = "" if terms.numel() == 1 else f" (a sum of {terms.numel()} terms)"
        text = f"The gradient{place} is {format_number(value)}{how}, {_beyond(returned)}."
        return Finding(_rule(returned, abs(value)), text)
    if terms.numel() > 1 and terms.abs().sum() > limit:
        text = (
            f"The gradient{place} is a sum of {terms.numel()} terms that is "
            f"{format_number(value)} and would fit, but on the way there a term or a partial sum "
            f"(the largest term is {format_number(largest)}) went {_beyond(returned)}."
        )
        return Finding(_rule(returned, largest), text)
    return None


def _must_be_overflow(scene: Scene, returned: torch.Tensor) -> Finding | None:
    """Out of finite numbers, multiplying and adding makes Inf, and then Inf - Inf, this way only.

    The caller has seen to it that all that was saved could be looked at.
    """
    tensors = [g for g in scene.received if g is not None]
    tensors += [s for s in scene.saved.values() if s.is_floating_point()]
    if not all(tensor.isfinite().all() for tensor in tensors):
        return None
    names = [f"`{name}`" for name, saved in scene.saved.items() if saved.is_floating_point()]
    largest = max((float(g.abs().max()) for g in tensors[: len(scene.received)]), default=0.0)
    text = (
        f"The received gradient (at most {format_number(largest)})"
        + (f" and the saved {' and '.join(names)} are" if names else " is")
        + f" finite, and this node only multiplies and adds: a product or a sum went "
        f"{_beyond(returned)}."
    )
    return Finding(_rule(returned, 0.0), text)


def _beyond(returned: torch.Tensor) -> str:
    dtype = str(returned.dtype).removeprefix("torch.")
    return f"beyond {format_number(torch.finfo(returned.dtype).max)}, the largest {dtype}"


def _rule(returned: torch.Tensor, value: float) -> str:
    is_half = returned.dtype is torch.float16 and value <= torch.finfo(torch.float32).max
    return "half-overflow" if is_half else "overflow"
