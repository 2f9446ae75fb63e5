"""A gradient flow as bars on a logarithmic axis, drawn by matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil, floor, isfinite, isnan, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..events.gradient_flow import GradientFlow
from ..events.gradient_flow_rows import FlagKind, FlowRow, group_by_module
from .escape import shorten
from .gradient_flow_text import describe_flags, module_name
from .plot_file import FONT_SIZE, legible, write_figure
from .style import BACKGROUND, MUTED, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MAX_BARS", "plot_gradient_flow"]

MAX_BARS = 200
WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 11.0, 0.2, 1.9
"""Inches; the frame is what stands above and below the bars."""
MAX_NAME_CHARS = 44
LETTER_SHARE = 0.0095
"""Width of a bold letter of a label, as a share of the axis."""
# Hues of Okabe and Ito; a flagged bar differs by its hatch and its label as well.
PLAIN, FLAGGED, LIMIT = "#56B4E9", "#D55E00", "#000000"
HATCHES: dict[FlagKind, str] = {
    "non-finite": "xxx",
    "exploding": "///",
    "vanishing": "\\\\\\",
    "update too large": "++",
    "update too small": "--",
    "mostly zero": "...",
    # Only seen on the bar of a module, where others of its parameters have a gradient.
    "dead": "oo",
    "missing": "||",
}


def plot_gradient_flow(flow: GradientFlow, path: str | os.PathLike[str]) -> Path:
    """Draw a gradient flow into a file; see `GradientFlow.plot`."""
    rows, caption = choose_rows(flow)
    height = FRAME_HEIGHT + ROW_HEIGHT * max(len(rows), 1)
    return write_figure(
        path,
        lambda figure: _draw(figure, flow, rows, caption),
        size=(WIDTH, height),
        example="gradients.png",
    )


def choose_rows(flow: GradientFlow) -> tuple[Sequence[FlowRow], str]:
    """At most `MAX_BARS` rows, by outer modules where there are more, and what was done."""
    rows: Sequence[FlowRow] = flow.rows
    if len(rows) <= MAX_BARS:
        return rows, ""
    if flow.by == "parameter":
        deepest = max(row.name.count(".") for row in rows)
        for depth in range(deepest, 0, -1):
            grouped = group_by_module(rows, flow.learning_rate, depth)
            if len(grouped) <= MAX_BARS:
                return grouped, f"{len(rows)} parameters by module, {depth} levels deep"
    # Flagged ones first, then what comes first; all in their order.
    flagged = [i for i, row in enumerate(rows) if row.flags]
    others = [i for i, row in enumerate(rows) if not row.flags]
    kept = sorted([*flagged, *others][:MAX_BARS])
    left = len(flagged) - sum(bool(rows[i].flags) for i in kept)
    return [rows[i] for i in kept], (
        f"{MAX_BARS} of {len(rows)} {flow.by}s; {left} that are not shown are flagged"
    )


def _draw(figure: Figure, flow: GradientFlow, rows: Sequence[FlowRow], caption: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = figure.add_subplot()
    # The axis is linear in the exponent: matplotlib's own logarithmic axis fails near the ends of
    # what a double can hold, where gradients do get.
    left, right = _limits(rows)
    axes.set_xlim(left, right)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    for position, row in enumerate(rows):
        _draw_row(axes, position, row, left, right)
    _draw_limits(axes, rows)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"$10^{{{x:.0f}}}$"))
    axes.set_yticks(range(len(rows)))
    for label in axes.set_yticklabels([_row_name(row) for row in rows], color=TEXT):
        label.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", top=True, labeltop=len(rows) > 30, colors=TEXT)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("left", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("norm of the gradient (logarithmic)", color=TEXT)
    title = _title(flow, caption)
    figure.suptitle(title, fontsize=FONT_SIZE + 1.5, color=TEXT, parse_math=False)
    _draw_legend(figure, rows)


def _title(flow: GradientFlow, caption: str) -> str:
    start = f"Gradient norms by {flow.by}, pass {flow.backward_pass} ({flow.where})"
    if not flow.rows:
        result = "there are no parameters to show"
    elif not flow.flag_counts:
        result = "nothing looks wrong"
    else:
        unit = "parameters " if flow.by == "module" else ""
        result = f"{unit}flagged: {describe_flags(flow)}"
    return "\n".join(legible(line) for line in (start, result, caption) if line)


def _limits(rows: Sequence[FlowRow]) -> tuple[float, float]:
    """Exponents of ten around all bars and thresholds."""
    values = [
        log10(value)
        for row in rows
        for value in (row.magnitude, row.vanishing_below, row.exploding_above)
        if value is not None and isfinite(value) and value > 0
    ]
    # Room at the left, so that the smallest gradient still has a bar.
    return floor(min(values, default=-6.0)) - 1.0, ceil(max(values, default=0.0)) + 1.0


def _draw_row(axes: Axes, position: int, row: FlowRow, left: float, right: float) -> None:
    size = row.magnitude
    hatch = next((HATCHES[flag.kind] for flag in row.flags if flag.kind in HATCHES), None)
    end = left
    if size is not None and size != 0:
        end = log10(size) if isfinite(size) else right
        axes.barh(
            position,
            end - left,
            left=left,
            height=0.72,
            color=FLAGGED if row.flags else PLAIN,
            edgecolor=BACKGROUND,
            hatch=hatch,
            linewidth=0,
        )
    text = legible(_row_text(row, size))
    inside = (end - left) / (right - left) + LETTER_SHARE * len(text) > 1.0
    axes.annotate(
        text,
        (end, position),
        xytext=(-4 if inside else 4, 0),
        textcoords="offset points",
        ha="right" if inside else "left",
        va="center",
        fontsize=FONT_SIZE - 1,
        color=TEXT if row.flags or inside else MUTED,
        fontweight="bold" if row.flags else "normal",
        parse_math=False,
        bbox={"facecolor": BACKGROUND, "edgecolor": "none", "pad": 0.8} if row.flags else None,
        zorder=4,
    )


def _row_text(row: FlowRow, size: float | None) -> str:
    if row.missing == row.parameters:
        number = "no gradient"
    elif size is None:
        number = "norm unknown"
    else:
        number = "NaN" if isnan(size) else f"{size:.1e}" if size else "0"
    below = size is not None and row.vanishing_below is not None and size < row.vanishing_below
    remark = ["rounding noise"] if below and not row.flags else []
    if row.meta is None:
        flags = [f"{flag.count} {flag.kind}" for flag in row.flags]
    else:
        flags = [flag.kind for flag in row.flags]
    return "  ".join([number, *flags, *remark])


def _draw_limits(axes: Axes, rows: Sequence[FlowRow]) -> None:
    """A mark at the thresholds of each bar: they depend on its size."""
    _mark(axes, [row.vanishing_below for row in rows], ":")
    _mark(axes, [row.exploding_above for row in rows], "-")


def _mark(axes: Axes, limits: Sequence[float | None], line: Literal[":", "-"]) -> None:
    known = [(i, value) for i, value in enumerate(limits) if value and isfinite(value)]
    axes.vlines(
        [log10(value) for _, value in known],
        [i - 0.42 for i, _ in known],
        [i + 0.42 for i, _ in known],
        colors=LIMIT,
        linestyles=line,
        linewidth=1.1,
        zorder=3,
    )


def _draw_legend(figure: Figure, rows: Sequence[FlowRow]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = []
    if any(not row.flags for row in rows):
        entries.append(Patch(facecolor=PLAIN, label="not flagged"))
    kinds = {flag.kind for row in rows if row.magnitude for flag in row.flags}
    entries += [
        Patch(facecolor=FLAGGED, edgecolor=BACKGROUND, hatch=HATCHES[kind], label=kind)
        for kind in HATCHES
        if kind in kinds
    ]
    if any(row.vanishing_below is not None for row in rows):
        entries.append(Line2D([], [], color=LIMIT, linestyle=":", label="vanishing below"))
    if any(row.exploding_above is not None for row in rows):
        entries.append(Line2D([], [], color=LIMIT, linestyle="-", label="exploding above"))
    if entries:
        figure.legend(
            handles=entries, loc="outside lower center", ncols=5, frameon=False, handlelength=2.6
        )


def _row_name(row: FlowRow) -> str:
    name = row.name if row.meta is not None else module_name(row.name)
    return legible(shorten(name, MAX_NAME_CHARS))
