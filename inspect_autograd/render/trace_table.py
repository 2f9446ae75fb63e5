"""A trace as a text table: what `print(trace)` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..errors import ArgumentTypeError
from ..events.trace import Trace, TraceData
from .escape import visible
from .max_lines import check_max_lines
from .trace_ending import ending_lines
from .trace_lines import Line, choose_lines, list_lines
from .trace_rows import TraceRows

__all__ = ["render_trace_table"]

WIDTH = 120
MIN_ROOM = 8
"""Lines for the table itself; where there are fewer, what stands above and below has to go."""

VALUES = (
    "One line for each node, in the order in which they ran: the gradients that it received and "
    "returned, with |norm|."
)
SHAPES = (
    "One line for each node, in the order in which they ran: the gradients that it received and "
    "returned (shapes only)."
)


def render_trace_table(trace: Trace, *, max_lines: int = 60, nodes: str | None = None) -> str:
    """A trace as an aligned table, one line per event; see `Trace.table`.

    Args:
        trace: The trace.
        max_lines: Longest text. The middle is left out, which is said; of the lines that are not
            finite the first ones are kept, up to a third of the table.
        nodes: Glob for the nodes to show, as for `Graph.find`; all of them by default.

    Raises:
        ArgumentTypeError, ArgumentError: `max_lines` or `nodes` is not one of those above.
    """
    _check_arguments(max_lines, nodes)
    data = trace.data
    lines = list_lines(data, nodes)
    bad = sorted(line.order for line in lines if line.is_nonfinite and line.order is not None)
    top = [SHAPES if data.stats_level == "meta" else VALUES] if len(data.table) and lines else []
    bottom = [*_selection(data, lines, nodes), *ending_lines(data, bad, WIDTH)]
    has_titles = any(not line.is_heading for line in lines)
    total = len(top) + has_titles + len(lines) + len(bottom)
    if total <= max_lines:
        return "\n".join([*top, *_body(data, lines, [*range(len(lines))]), *bottom])
    if max_lines - len(top) - len(bottom) < MIN_ROOM:
        top, bottom = [], bottom[:1]
    room = max_lines - len(top) - has_titles - len(bottom)
    kept = choose_lines(lines, room - 1)
    text = [*top, *_body(data, lines, kept), *bottom, _left_out(lines, kept, total)]
    if len(text) > max_lines:
        more = f"… and {len(text) - max_lines + 1} more lines; {_how_to_see(total)}"
        text = [*text[: max_lines - 1], more]
    return "\n".join(text)


def _check_arguments(max_lines: object, nodes: object) -> None:
    check_max_lines(max_lines, 60)
    if nodes is not None and not isinstance(nodes, str):
        raise ArgumentTypeError(
            f"nodes is {nodes!r} of type {type(nodes).__name__}; expected a glob string or None",
            remedy='Give a string such as "Softmax*" or "*.weight".',
        )


def _body(data: TraceData, lines: Sequence[Line], kept: Sequence[int]) -> Iterator[str]:
    """The lines at these positions, with a line for each gap between them."""
    rows = TraceRows(data, WIDTH)
    texts = iter(rows.aligned([lines[i] for i in kept if not lines[i].is_heading]))
    titles = next(texts, None)
    for before, position in pairwise([-1, *kept, len(lines)]):
        if position > before + 1:
            yield f"  … {_count(lines[before + 1 : position])}"
        if position == len(lines):
            return
        if lines[position].is_heading:
            yield rows.heading(lines[position])
            continue
        if titles is not None:
            yield titles
            titles = None
        yield next(texts)


def _selection(data: TraceData, lines: Sequence[Line], nodes: str | None) -> list[str]:
    if nodes is None:
        return []
    glob = visible(repr(nodes))
    if not lines:
        return [f"no event is of a node that matches {glob}; trace.graph.find({glob}) finds nodes"]
    count = sum(line.order is not None for line in lines)
    return [f"shown: {count} of {len(data.table)} events, those of nodes that match {glob}"]


def _left_out(lines: Sequence[Line], kept: Sequence[int], total: int) -> str:
    shown = {*kept}
    left = [line for i, line in enumerate(lines) if i not in shown]
    return f"not shown: {_count(left)}; {_how_to_see(total)}"


def _count(lines: Sequence[Line]) -> str:
    """How many there are of what: `12 events, 3 of these lines not finite`."""
    counts = (
        (sum(line.is_heading for line in lines), "pass", "passes"),
        (sum(line.order is not None for line in lines), "event", "events"),
        (sum(line.input is not None for line in lines), "result", "results"),
    )
    texts = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    bad = sum(line.is_nonfinite for line in lines)
    return ", ".join(texts) + (f" ({bad} not finite)" if bad else "")


def _how_to_see(total: int) -> str:
    return f'trace.table(max_lines={total}) shows all, trace.table(nodes="…") some'
