"""When each backward pass ran and what called it, as far as the events tell."""

from __future__ import annotations

from .trace import TraceData

__all__ = ["find_callers", "find_spans"]

Span = tuple[int, int]


def find_callers(data: TraceData) -> dict[int, int]:
    """The order of the event that called each reentrant pass, by the id of the pass.

    That is the execution of the calling node during which the pass began. Passes without events,
    and those whose calling node never ended, are left out.
    """
    table = data.table
    spans = _own_spans(data)
    called: dict[int, list[Span]] = {}
    for backward_pass in data.passes:
        if backward_pass.parent is not None and backward_pass.id in spans:
            begin = spans[backward_pass.id][0]
            called.setdefault(backward_pass.parent, []).append((begin, backward_pass.id))
    started: dict[int, list[Span]] = {node: [] for node in called}
    for order, node in enumerate(table.nodes):
        if node in started:
            started[node].append((table.starts_ns[order], order))
    found = {}
    for node, passes in called.items():
        left = sorted(started[node], reverse=True)
        running: list[int] = []  # A node may run again in a pass that it called.
        for begin, id in sorted(passes):
            while left and left[-1][0] < begin:
                running.append(left.pop()[1])
            while running and _end(data, running[-1]) < spans[id][1]:
                running.pop()
            if running:
                found[id] = running[-1]
    return dict(sorted(found.items()))


def _end(data: TraceData, order: int) -> int:
    return data.table.starts_ns[order] + data.table.durations_ns[order]


def find_spans(data: TraceData) -> dict[int, Span]:
    """Start and end of each pass in nanoseconds, by its id; those without events are left out.

    A pass ends with the last of its events, and not before a pass that was called from it. Where
    the node that called a pass never ended, it counts to the last earlier pass that did not
    complete.
    """
    spans = _own_spans(data)
    parents: dict[int, int] = {
        id: data.table.passes[order] for id, order in find_callers(data).items()
    }
    unfinished = None
    for backward_pass in data.passes:
        if backward_pass.parent is not None and unfinished is not None:
            parents.setdefault(backward_pass.id, unfinished)
        if backward_pass.outcome.status != "completed":
            unfinished = backward_pass.id
    for id in range(len(data.passes) - 1, -1, -1):  # What is called begins later.
        if id in spans and id in parents:
            begin, end = spans[id]
            outer = spans.get(parents[id], (begin, end))
            spans[parents[id]] = min(begin, outer[0]), max(end, outer[1])
    return spans


def _own_spans(data: TraceData) -> dict[int, Span]:
    table = data.table
    spans: dict[int, Span] = {}
    for id, start, duration in zip(table.passes, table.starts_ns, table.durations_ns, strict=True):
        begin, end = spans.get(id, (start, start))
        spans[id] = min(begin, start), max(end, start + duration)
    return spans
