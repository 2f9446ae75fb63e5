"""Counts and shapes in words."""

from __future__ import annotations

from collections.abc import Sequence

from .scene import TensorFacts

__all__ = ["count_of", "listed", "with_meta"]


def count_of(count: int | None, noun: str) -> str:
    """`one number`, `3 numbers`, `no numbers`; `many numbers` where the count is unknown."""
    if count is None:
        return f"many {noun}s"
    if count == 1:
        return f"one {noun}"
    return f"no {noun}s" if count == 0 else f"{count} {noun}s"


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and 4 more`."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def with_meta(name: str, facts: TensorFacts) -> str:
    """`y (f32[3])`."""
    return f"{name} ({facts.meta})"
