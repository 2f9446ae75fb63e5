"""The text of the lines of a trace's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..events.nested_passes import find_callers, pass_depths
from ..events.trace import Trace, TraceData
from .escape import shorten, visible
from .gradient_text import format_duration, gradients_text
from .labels import display_name, module_text
from .origin_text import has_origins, line_text
from .pass_heading import describe_input, pass_heading
from .table import format_table
from .trace_lines import Line

__all__ = ["TraceRows"]

TITLES = ("", "order", "pass", "node", "received", "returned", "time", "module", "line")
RIGHT = (1, 2, 6)
GAP = 2
MAX_MODULE = 28
MAX_SOURCE = 20
ROOM_FOR_ORIGINS = 34
"""By so much a table with modules and lines may be wider, so that numbers need not give way."""
NARROWEST = 12
MIN_NAME = 34
UNLIMITED = 10_000
MAX_INDENT = 4
MAX_HEADING = 160
"""Characters; a heading is wider than the table rather than without its middle."""

Cell = Callable[[int], str]
"""Gives the text of a cell that is to be at most so wide."""


class TraceRows:
    """Writes lines of a trace.

    Args:
        data: The trace.
        width: Longest line, without modules and lines of the program.
    """

    def __init__(self, data: TraceData, width: int) -> None:
        self._data = data
        self._has_origins = has_origins(data.graph)
        self._width = width + ROOM_FOR_ORIGINS * self._has_origins
        self._is_recorded = data.graph.scopes == "recorded"
        self._nodes = data.graph.nodes
        self._events = Trace(data).events
        self._is_one_pass = len(data.passes) == 1
        self._indents = ["  " * min(depth, MAX_INDENT) for depth in pass_depths(data.passes)]
        self._called: dict[int, list[str]] = {}
        for backward_pass, order in find_callers(data).items():
            self._called.setdefault(order, []).append(str(backward_pass))

    def heading(self, line: Line) -> str:
        """The line of a pass."""
        id = line.backward_pass
        number = "" if self._is_one_pass else f"pass {id}: "
        text = f"{number}{pass_heading(self._data.graph, self._data.passes[id])}"
        if line.is_nonfinite:
            text = f"! {text}"
        return shorten(self._indents[id] + text, MAX_HEADING)

    def aligned(self, lines: Sequence[Line]) -> list[str]:
        """The titles and then these lines, none of which is a heading; nothing for no lines."""
        if not lines:
            return []
        fixed = [self._fixed_cells(line) for line in lines]
        flexible = [self._flexible_cells(line) for line in lines]
        rows = _join(fixed, flexible, [UNLIMITED] * 3)
        columns = [*zip(TITLES, *rows, strict=True)]
        used = [max(map(len, cells)) + GAP if any(cells[1:]) else 0 for cells in columns]
        room = self._width + GAP - sum(used) + sum(used[3:6])
        rows = _join(fixed, flexible, _limits(used[3:6], room))
        return format_table(rows, TITLES, RIGHT).splitlines()

    def _fixed_cells(self, line: Line) -> tuple[str, ...]:
        order = line.order
        origin = ("", "")
        if order is not None and self._has_origins:
            node = self._nodes[self._data.table.nodes[order]]
            module = module_text(node, MAX_MODULE) if self._is_recorded else ""
            origin = (module, line_text(node, MAX_SOURCE))
        return (
            "!" if line.is_nonfinite else "",
            "" if order is None else str(order),
            "" if self._is_one_pass else str(line.backward_pass),
            "" if order is None else format_duration(self._data.table.durations_ns[order]),
            *origin,
        )

    def _flexible_cells(self, line: Line) -> tuple[Cell, Cell, Cell]:
        indent = self._indents[line.backward_pass]
        if line.input is not None:
            name = describe_input(self._data.graph, line.input)
            given = partial(gradients_text, [line.input.stats])
            return _name(indent, name), given, partial(shorten, "to the caller")
        assert line.order is not None
        event = self._events[line.order]
        node = self._nodes[event.node]
        called = self._called.get(event.order, ())
        name = display_name(node) + (f" (ran pass {', '.join(called[:3])})" if called else "")
        returned: Cell = partial(gradients_text, event.returned)
        if node.kind == "leaf" and not event.returned:
            returned = partial(shorten, "into .grad")
        return _name(indent, name), partial(gradients_text, event.received), returned


def _name(indent: str, name: str) -> Cell:
    name = visible(name)
    return lambda width: indent + shorten(name, max(width - len(indent), NARROWEST))


def _join(
    fixed: Sequence[tuple[str, ...]],
    flexible: Sequence[tuple[Cell, Cell, Cell]],
    limits: Sequence[int],
) -> list[tuple[str, ...]]:
    return [
        (*cells[:3], *(cell(limit) for cell, limit in zip(given, limits, strict=True)), *cells[3:])
        for cells, given in zip(fixed, flexible, strict=True)
    ]


def _limits(used: Sequence[int], room: int) -> list[int]:
    """The longest texts for the names and the gradients, so that the columns fit into the room.

    Names give way first, then the wider column of gradients.
    """
    if sum(used) <= room:
        return [UNLIMITED] * 3
    name = max(min(used[0], room - sum(used[1:])), min(used[0], MIN_NAME))
    room -= name
    narrow = min(*used[1:], room // 2)
    limits = [name, *(width if width <= narrow else room - narrow for width in used[1:])]
    return [max(limit - GAP, NARROWEST) for limit in limits]
