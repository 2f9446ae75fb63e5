"""When each backward pass ran, as far as the events tell."""

from __future__ import annotations

from .trace import TraceData

__all__ = ["find_spans"]

Span = tuple[int, int]


def find_spans(data: TraceData) -> dict[int, Span]:
    """Start and end of each pass in nanoseconds, by its id.

    A pass ends with the last of its events, and not before a pass that ran inside it. One without
    events, in which no pass with events ran either, is left out.
    """
    table = data.table
    spans: dict[int, Span] = {}
    for id, start, duration in zip(table.passes, table.starts_ns, table.durations_ns, strict=True):
        begin, end = spans.get(id, (start, start))
        spans[id] = min(begin, start), max(end, start + duration)
    for backward_pass in reversed(data.passes):  # Inner passes come before their outer one.
        outer = backward_pass.parent_pass
        if outer is not None and backward_pass.id in spans:
            begin, end = spans[backward_pass.id]
            around = spans.get(outer, (begin, end))
            spans[outer] = min(begin, around[0]), max(end, around[1])
    return spans
