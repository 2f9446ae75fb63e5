"""Which events took longest."""

from __future__ import annotations

from heapq import nsmallest

from ..errors import ArgumentError, ArgumentTypeError
from .records import Event
from .trace import Trace

__all__ = ["find_slowest"]


def find_slowest(trace: Trace, count: int) -> tuple[Event, ...]:
    """The events that took longest, longest first, the earlier first where they took the same.

    Args:
        trace: The trace.
        count: How many at most.

    Raises:
        ArgumentTypeError: `count` is no int.
        ArgumentError: It is below 1.
    """
    if isinstance(count, bool) or not isinstance(count, int):
        raise ArgumentTypeError(
            f"count is {count!r} of type {type(count).__name__}; expected an int",
            remedy="Give a number of events such as 10.",
        )
    if count < 1:
        raise ArgumentError(
            f"count is {count}; expected 1 or more", remedy="Give a number of events such as 10."
        )
    events, durations = trace.events, trace.data.table.durations_ns
    # `nsmallest` keeps the first of those that are equal, as sorting does.
    slowest = nsmallest(count, range(len(durations)), key=lambda order: -durations[order])
    return tuple(events[order] for order in slowest)
