"""Which lines a trace has as a table, and what each is about; not yet their text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..events.records import BackwardPass, PassInput
from ..events.table import NO_GRADIENT
from ..events.trace import TraceData

__all__ = ["Line", "choose_lines", "list_lines"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a pass, an event, or a gradient that `autograd.grad` returned.

    Attributes:
        backward_pass: Id of the pass that it is, or belongs to.
        order: Order of the event; None for what is none.
        input: What was returned to the caller, else None.
        is_nonfinite: Whether a gradient in it is not finite.
    """

    backward_pass: int
    order: int | None = None
    input: PassInput | None = None
    is_nonfinite: bool = False

    @property
    def is_heading(self) -> bool:
        """Whether it is the line of a pass."""
        return self.order is None and self.input is None


def list_lines(data: TraceData, nodes: str | None) -> list[Line]:
    """Pass by pass: its heading, its events, and what it returned to its caller.

    Args:
        data: The trace.
        nodes: Glob for the nodes to list; then passes without any of them are left out.
    """
    wanted = None if nodes is None else {node.id for node in data.graph.find(nodes)}
    orders: dict[int, list[int]] = {}
    for order, (node, id) in enumerate(zip(data.table.nodes, data.table.passes, strict=True)):
        if wanted is None or node in wanted:
            orders.setdefault(id, []).append(order)
    is_bad = _nonfinite_events(data)
    lines = []
    for backward_pass in data.passes:
        events = [
            Line(backward_pass.id, i, None, is_bad[i]) for i in orders.get(backward_pass.id, ())
        ]
        results = [*_results(backward_pass, wanted)]
        if events or results or wanted is None:
            lines += [_heading(backward_pass), *events, *results]
    return lines


def _heading(backward_pass: BackwardPass) -> Line:
    given = (root.stats for root in backward_pass.roots)
    is_bad = any(stats is not None and stats.is_finite is False for stats in given)
    return Line(backward_pass.id, is_nonfinite=is_bad)


def _results(backward_pass: BackwardPass, wanted: set[int] | None) -> Iterator[Line]:
    if backward_pass.call != "grad" or backward_pass.outcome.status != "completed":
        return
    for item in backward_pass.inputs or ():
        if wanted is None or item.node in wanted:
            is_bad = item.stats is not None and item.stats.is_finite is False
            yield Line(backward_pass.id, None, item, is_bad)


def _nonfinite_events(data: TraceData) -> list[bool]:
    table = data.table
    bad = {i for i, stats in enumerate(table.stats) if stats.is_finite is False} - {NO_GRADIENT}
    return [
        not bad.isdisjoint(received) or not bad.isdisjoint(returned)
        for received, returned in zip(table.received, table.returned, strict=True)
    ]


def choose_lines(lines: list[Line], room: int) -> list[int]:
    """The positions of the lines to show: the ends, and what is not finite.

    Lines that are not finite get up to a third of the room, first come first served. Each gap
    takes a line too, to say how much is missing.

    Args:
        lines: All lines.
        room: How many lines there may be, with those of the gaps.
    """
    bad = [i for i, line in enumerate(lines) if line.is_nonfinite]
    bad.sort(
        key=lambda i: (lines[i].order is None and not lines[i].is_heading, lines[i].order or 0)
    )
    kept = {*bad[: max(room // 3, 1)]}
    low, high = 0, room
    while low < high:  # More of the ends never takes less room, so bisection finds how much fits.
        ends = (low + high + 1) // 2
        if _height(lines, kept | _ends(len(lines), ends)) <= room:
            low = ends
        else:
            high = ends - 1
    return sorted(kept | _ends(len(lines), low))


def _ends(count: int, size: int) -> set[int]:
    tail = size // 2
    return {*range(min(size - tail, count)), *range(max(count - tail, 0), count)}


def _height(lines: list[Line], kept: set[int]) -> int:
    return len(kept) + sum(i + 1 not in kept for i in kept if i + 1 < len(lines))
