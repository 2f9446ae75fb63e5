"""The arguments of record, checked before anything is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from ...errors import ArgumentError, ArgumentTypeError
from ...events.records import StatsLevel
from ..parameters import collect_names

if TYPE_CHECKING:
    import torch

__all__ = ["check_limit", "check_stats", "name_pairs"]


def check_stats(stats: Any) -> None:
    """Refuse what is not a level of statistics."""
    levels = ("off", *get_args(StatsLevel))
    if stats not in levels:
        raise ArgumentError(
            f"stats is {stats!r}; expected one of {', '.join(map(repr, levels))}",
            remedy="'off' costs least and puts no hooks, 'meta' notes what ran and the shapes, "
            "'basic' adds norm, min and max of every gradient, 'full' the mean and counts.",
        )


def check_limit(limit: Any) -> None:
    """Refuse what is not a number of steps."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise ArgumentTypeError(
            f"limit is {limit!r} of type {type(limit).__name__}; expected a whole number or None",
            remedy="Give how many of the last steps to keep, or leave it out to keep all.",
        )
    if limit < 1:
        raise ArgumentError(
            f"limit is {limit}; expected 1 or more",
            remedy="Give how many of the last steps to keep, or leave it out to keep all.",
        )


def name_pairs(params: Any) -> list[tuple[str, torch.Tensor]]:
    """What `params` of record was given as pairs of a name and a tensor."""
    names = collect_names(params)
    return [(name, tensor) for found, tensor in names.items() for name in found]
