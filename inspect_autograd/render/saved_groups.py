"""Saved tensors of one node, with those that look alike counted as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..graph.records import SavedTensor

__all__ = ["MAX_GROUPS", "SavedGroup", "count_saved_boxes", "group_saved"]

MAX_GROUPS = 8
"""Groups drawn per node; a node that keeps a list can have hundreds of tensors."""


@dataclass(frozen=True, slots=True)
class SavedGroup:
    """Saved tensors of one name, shape and state: those of all copies of a repeated block.

    Attributes:
        first: The first of them.
        count: How many there are.
    """

    first: SavedTensor
    count: int


def group_saved(saved: Sequence[SavedTensor]) -> list[SavedGroup]:
    """Groups in the order of their first member."""
    counts: dict[tuple[object, ...], int] = {}
    firsts: dict[tuple[object, ...], SavedTensor] = {}
    for tensor in saved:
        key = (tensor.name, tensor.meta, tensor.bytes, tensor.state)
        firsts.setdefault(key, tensor)
        counts[key] = counts.get(key, 0) + 1
    return [SavedGroup(first, counts[key]) for key, first in firsts.items()]


def count_saved_boxes(saved: Sequence[SavedTensor]) -> int:
    """How many boxes are drawn for the saved tensors of one node."""
    groups = len(group_saved(saved))
    return min(groups, MAX_GROUPS + 1)
