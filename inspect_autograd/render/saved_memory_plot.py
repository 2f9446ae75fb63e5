"""What a graph keeps for backward as bars, drawn by matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..graph.fold.labels import plural
from ..graph.memory_rows import MemoryRow
from ..graph.saved_memory import SavedMemory
from ..graph.tensor_meta import format_bytes
from .plot_file import FONT_SIZE, legible, write_figure
from .saved_memory_text import KINDS, describe_sums, format_share, row_name
from .style import BACKGROUND, MUTED, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MAX_BARS", "plot_saved_memory"]

MAX_BARS = 50
WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 11.0, 0.24, 1.7
"""Inches; the frame is what stands above and below the bars."""
MAX_NAME_CHARS = 44
ROOM = 1.25
"""Length of the axis, as a multiple of the longest bar: its label stands behind it."""
TICKS = 8


class Part(NamedTuple):
    """How one part of a bar looks: a hue of Okabe and Ito, and a hatch to tell it without hue."""

    label: str
    color: str
    hatch: str


PARTS = (
    Part("activations that this row alone holds", "#0072B2", ""),
    Part("activations that other rows hold as well", "#56B4E9", "////"),
    Part("parameters and buffers", "#F0E442", "...."),
)


def plot_saved_memory(memory: SavedMemory, path: str | os.PathLike[str]) -> Path:
    """Draw what is kept for backward into a file; see `SavedMemory.plot`."""
    rows = memory.rows[:MAX_BARS]
    height = FRAME_HEIGHT + ROW_HEIGHT * max(len(rows), 1)
    return write_figure(
        path, lambda figure: _draw(figure, memory, rows), size=(WIDTH, height), example="memory.png"
    )


def _draw(figure: Figure, memory: SavedMemory, rows: Sequence[MemoryRow]) -> None:
    axes = figure.add_subplot()
    longest = max((sum(_sizes(row)) for row in rows), default=0) or 1
    axes.set_xlim(0, ROOM * longest)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    for position, row in enumerate(rows):
        _draw_row(axes, position, row, memory)
    _set_ticks(axes, ROOM * longest)
    axes.set_yticks(range(len(rows)))
    names = [legible(row_name(row, MAX_NAME_CHARS)) for row in rows]
    for label in axes.set_yticklabels(names, color=TEXT):
        label.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", top=True, labeltop=len(rows) > 30, colors=TEXT)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("left", "right"):
        axes.spines[side].set_visible(False)
    title = _title(memory, len(rows))
    figure.suptitle(title, fontsize=FONT_SIZE + 1.5, color=TEXT, parse_math=False)
    _draw_legend(figure, rows)


def _sizes(row: MemoryRow) -> tuple[int, int, int]:
    return row.alone_bytes, row.shared_bytes, row.parameter_bytes


def _draw_row(axes: Axes, position: int, row: MemoryRow, memory: SavedMemory) -> None:
    end = 0
    for size, part in zip(_sizes(row), PARTS, strict=True):
        if size:
            axes.barh(
                position,
                size,
                left=end,
                height=0.72,
                color=part.color,
                hatch=part.hatch,
                edgecolor=TEXT,
                linewidth=0.5,
            )
        end += size
    axes.annotate(
        legible(_row_text(row, memory)),
        (end, position),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=FONT_SIZE - 1,
        color=MUTED,
        parse_math=False,
    )


def _row_text(row: MemoryRow, memory: SavedMemory) -> str:
    if not row.activation_bytes:
        text = format_bytes(row.parameter_bytes)
    else:
        share = format_share(row.activation_bytes, memory.activation_bytes)
        text = f"{format_bytes(row.activation_bytes)}, {share}"
        if row.parameter_bytes:
            text += f"  + {format_bytes(row.parameter_bytes)}"
    return f"{text}  ({row.unmeasured} not counted)" if row.unmeasured else text


def _set_ticks(axes: Axes, limit: float) -> None:
    """Ticks that are written without rounding: at multiples of half the unit they are given in."""
    unit = 1
    while limit >= 1024 * unit:
        unit *= 1024
    step = max(unit // 2, 1)
    while limit / step > TICKS:
        step *= 2
    ticks = [i * step for i in range(int(limit // step) + 1)]
    axes.set_xticks(ticks, [format_bytes(tick) for tick in ticks])


def _title(memory: SavedMemory, shown: int) -> str:
    inferred = " (inferred from parameter names)" if memory.scopes == "inferred" else ""
    what = describe_sums(memory) if memory.tensors else "nothing"
    lines = [f"Saved for backward by {KINDS[memory.by]}{inferred}: {what}"]
    if shown < len(memory.rows):
        rest = sum(row.alone_bytes for row in memory.rows[shown:])
        lines.append(
            f"{shown} of {len(memory.rows)} rows, those that hold most; the others hold "
            f"{format_bytes(rest)} alone"
        )
    # There is room for a few words only; the table says what these are.
    unmeasured = sum(row.unmeasured for row in memory.rows)
    if unmeasured:
        lines.append(f"not counted: {plural(unmeasured, 'tensor')}")
    return "\n".join(legible(line) for line in lines)


def _draw_legend(figure: Figure, rows: Sequence[MemoryRow]) -> None:
    from matplotlib.patches import Patch

    used = [any(sizes) for sizes in zip(*map(_sizes, rows), strict=True)]
    entries = [
        Patch(facecolor=part.color, edgecolor=TEXT, hatch=part.hatch, linewidth=0.5, label=part[0])
        for part, is_used in zip(PARTS, used or [False] * len(PARTS), strict=True)
        if is_used
    ]
    if entries:
        figure.legend(
            handles=entries,
            loc="outside lower center",
            ncols=3,
            frameon=False,
            handlelength=2.6,
            facecolor=BACKGROUND,
        )
