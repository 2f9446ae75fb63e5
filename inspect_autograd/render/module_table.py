"""What the modules of a recording cost, as an aligned table."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from ..events.module_rows import ModuleRow
from ..events.recording import Recording
from ..graph.tensor_meta import format_bytes
from .escape import shorten, visible
from .gradient_text import format_duration
from .max_lines import check_max_lines
from .table import format_table

__all__ = ["MEANING", "module_lines", "render_module_table"]

OUTSIDE = "(outside of any module)"
OUTERMOST = "(outermost)"
MAX_PATH_CHARS = 60
TITLES = (
    "module", "calls", "forward", "own", "backward", "nodes", "saved", "parameters", "|gradient|"
)  # fmt: skip
RIGHT = (*range(1, len(TITLES)),)
MEANING = (
    "forward: with submodules; all else: of the module itself; saved: activations kept for backward"
)


def render_module_table(recording: Recording, *, max_lines: int = 60) -> str:
    """The table that `Recording.table` gives, the slowest module first.

    Args:
        recording: The recording.
        max_lines: Longest text; what is left out is said.

    Raises:
        ArgumentTypeError, ArgumentError: `max_lines` is not a number above 0.
    """
    check_max_lines(max_lines, 60)
    rows = recording.module_rows()
    if not rows:
        return "no module was called and no backward pass ran"
    total = len(rows) + 2
    if total <= max_lines:
        return "\n".join([*module_lines(rows), MEANING])
    shown = max(max_lines - 3, 0)
    left = len(rows) - shown
    more = f"… and {left} more module{'s' * (left > 1)}; table(max_lines={total}) shows all"
    lines = [*module_lines(rows[:shown]), more, MEANING]
    return "\n".join(lines if len(lines) <= max_lines else [*lines[: max_lines - 1], more])


def module_lines(rows: Sequence[ModuleRow]) -> list[str]:
    """The titles, and a line for each row; nothing for no rows."""
    return format_table([_cells(row) for row in rows], TITLES, RIGHT).splitlines() if rows else []


def _cells(row: ModuleRow) -> list[str]:
    path = OUTSIDE if row.path is None else row.path or OUTERMOST
    return [
        shorten(visible(path), MAX_PATH_CHARS),
        str(row.calls) if row.calls else "",
        format_duration(row.forward_ns) if row.calls else "",
        format_duration(row.own_forward_ns) if row.calls else "",
        format_duration(row.backward_ns) if row.backward_ns else "",
        str(row.nodes) if row.nodes else "",
        format_bytes(row.saved_bytes) if row.saved_bytes else "",
        "?" if row.parameters is None else f"{row.parameters:,}" if row.parameters else "",
        _gradient(row),
    ]


def _gradient(row: ModuleRow) -> str:
    if row.is_reached is False:
        return "none"
    if row.gradient_l2 is None:
        return "?" if row.is_reached else ""
    return "NaN" if isnan(row.gradient_l2) else f"{row.gradient_l2:.3g}"
