"""Finding what repeats in a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["find_free", "find_periodic"]


def find_periodic(items: Sequence[object], period: int) -> Iterator[tuple[int, int]]:
    """Maximal stretches `(start, end)` in which every item equals the one a period later.

    Each is longer than the period; they can overlap by less than a period.
    """
    # The stretches are what lies between two places that break the period.
    breaks = [
        place
        for place, (item, later) in enumerate(zip(items, items[period:], strict=False))
        if item != later
    ]
    start = 0
    for stop in (*breaks, len(items) - period):
        if stop > start:
            yield start, stop + period
        start = stop + 1


def find_free(taken: bytearray, start: int, end: int) -> tuple[int, int]:
    """The first part of a stretch whose places are 0 in `taken`; empty if there is none."""
    free = taken.find(0, start, end)
    if free < 0:
        return end, end
    next_taken = taken.find(1, free, end)
    return free, end if next_taken < 0 else next_taken
