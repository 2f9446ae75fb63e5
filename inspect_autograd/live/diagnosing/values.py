"""Which of many tensors hold NaN, Inf, or nothing but zeros, in one look at the device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

from ...diagnosis.program_facts import ValueFacts
from ..private_training import foreach_norms

__all__ = ["describe_values", "group_tensors"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)
_UNKNOWN = ValueFacts(is_known=False)
_FINE = ValueFacts()


def describe_values(tensors: Sequence[torch.Tensor]) -> list[ValueFacts]:
    """The facts about each tensor.

    One norm says nearly all: it is finite and above 0. Only for the others the elements are
    looked at again. The numbers come over in one transfer for each device and type.
    """
    facts = [_UNKNOWN] * len(tensors)
    with torch.no_grad():
        for positions in group_tensors(tensors):
            group = [tensors[position] for position in positions]
            norms = torch.stack(foreach_norms(group)).tolist()
            odd = [
                index for index, norm in enumerate(norms) if not math.isfinite(norm) or norm == 0
            ]
            closer = dict(zip(odd, _look_closer([group[index] for index in odd]), strict=True))
            for index, position in enumerate(positions):
                facts[position] = closer.get(index, _FINE)
    return facts


def group_tensors(tensors: Iterable[torch.Tensor]) -> list[list[int]]:
    """Positions of the tensors whose elements can be looked at, by device and type."""
    groups: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for position, tensor in enumerate(tensors):
        if (
            type(tensor) in _PLAIN
            and tensor.layout is torch.strided
            and not tensor.is_nested
            and not tensor.is_meta
            and (tensor.is_floating_point() or tensor.is_complex())
            and tensor.itemsize > 1  # float8 has no norm
            and tensor.numel()
        ):
            groups.setdefault((tensor.device, tensor.dtype), []).append(position)
    return list(groups.values())


def _look_closer(tensors: list[torch.Tensor]) -> list[ValueFacts]:
    if not tensors:
        return []
    rows = torch.stack(
        [torch.stack([t.isnan().any(), t.isinf().any(), (t == 0).all()]) for t in tensors]
    ).tolist()
    return [
        ValueFacts(" and ".join(["NaN"] * has_nan + ["Inf"] * has_inf), is_zero)
        for has_nan, has_inf, is_zero in rows
    ]
