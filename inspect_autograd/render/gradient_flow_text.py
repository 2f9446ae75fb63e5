"""A gradient flow as an aligned table, what was flagged first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..events.gradient_flow import GradientFlow
from ..events.gradient_flow_flags import (
    EXPLODING_FACTOR,
    EXPLODING_RATIO,
    MOSTLY_ZERO,
    UPDATE_TOO_LARGE,
    UPDATE_TOO_SMALL,
    VANISHING_SHARE,
    format_share,
)
from ..events.gradient_flow_rows import FlowRow
from .escape import shorten, visible

__all__ = ["MAX_ROWS", "align", "describe_flags", "module_name", "render_gradient_flow"]

MAX_ROWS = 60
"""Rows in the text; `GradientFlow.rows` has all of them."""
MAX_NAME_CHARS = 60


def render_gradient_flow(flow: GradientFlow) -> str:
    """The table that `print(flow)` shows."""
    flagged = flow.flagged
    ordered = [*flagged, *(row for row in flow.rows if not row.flags)]
    shown = ordered[:MAX_ROWS]
    parts = [
        _headline(flow),
        align(_header(flow), [_cells(row, flow) for row in shown]) if shown else "",
        "\n".join([*_left_out(flow, len(flagged)), *_footer(flow)]),
    ]
    return "\n\n".join(part for part in parts if part)


def describe_flags(flow: GradientFlow) -> str:
    """`2 dead, 1 vanishing`; empty if there is no flag."""
    return ", ".join(f"{count} {kind}" for kind, count in flow.flag_counts.items())


def module_name(name: str) -> str:
    """What to call a module; the outermost one has an empty path."""
    return name or "(outermost)"


def _headline(flow: GradientFlow) -> str:
    start = f"Gradient flow in pass {flow.backward_pass} ({visible(flow.where)})"
    if not flow.rows:
        return f"{start}: there are no parameters to show"
    what = flow.by if len(flow.rows) == 1 else f"{flow.by}s"
    flagged = sum(bool(row.flags) for row in flow.rows)
    if not flagged:
        return f"{start}: nothing looks wrong with {len(flow.rows)} {what}"
    inside = " (counted by parameter)" if flow.by == "module" else ""
    return f"{start}: {flagged} of {len(flow.rows)} {what} flagged: {describe_flags(flow)}{inside}"


def _header(flow: GradientFlow) -> list[str]:
    second = "shape" if flow.by == "parameter" else "parameters"
    return [
        flow.by, second, "|gradient|", "RMS", "max abs", "zeros", "|parameter|", "update", "remarks"
    ]  # fmt: skip


def _cells(row: FlowRow, flow: GradientFlow) -> list[str]:
    name = row.name if flow.by == "parameter" else module_name(row.name)
    also = f" = {row.names[1]}" if flow.by == "parameter" and len(row.names) > 1 else ""
    more = f" (+{len(row.names) - 2})" if also and len(row.names) > 2 else ""
    return [
        shorten(visible(name), MAX_NAME_CHARS) + shorten(visible(also), MAX_NAME_CHARS) + more,
        str(row.parameters) if row.meta is None else str(row.meta),
        _number(row.l2) or ("none" if row.missing == row.parameters else "?"),
        _number(row.rms),
        _number(row.max_abs),
        "" if row.zero_share is None else format_share(row.zero_share),
        _number(row.parameter_l2),
        _number(row.update_ratio),
        "; ".join([*(f"{flag}: {visible(flag.text)}" for flag in row.flags), *_note(row)]),
    ]


def _note(row: FlowRow) -> list[str]:
    # The flag `missing` says it already.
    return [f"({visible(row.note)})"] if row.note else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2e}" if value else "0"


def align(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns under a header; a column without any text is left out."""
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    lines = [[header[i] for i in used], *([row[i] for i in used] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(used))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _left_out(flow: GradientFlow, flagged: int) -> Iterator[str]:
    left = len(flow.rows) - MAX_ROWS
    if left > 0:
        rest = max(flagged - MAX_ROWS, 0)
        which = f"{rest} of them flagged" if rest else "none of them flagged"
        yield f"… and {left} more row{'s' * (left > 1)}, {which}; GradientFlow.rows has all"
        yield ""


def _footer(flow: GradientFlow) -> Iterator[str]:
    near = flow.near_loss
    found = [("weights", near.weights), ("biases", near.biases)]
    sizes = ", ".join(f"{kind} {value:.2e}" for kind, value in found if value is not None)
    yield f"RMS near the loss: {sizes or 'unknown, no gradient to compare with'}"
    yield (
        f"vanishing: RMS below {VANISHING_SHARE:g} × that, or below the normal numbers of its "
        f"dtype; exploding: RMS above {EXPLODING_FACTOR:g} × that, or |gradient| above "
        f"{EXPLODING_RATIO:g} × |parameter| of a weight"
    )
    yield (
        f"dead: every element 0; mostly zero: more than {MOSTLY_ZERO:.0%} zeros"
        if any(row.zero_share is not None for row in flow.rows)
        else 'dead: every element 0; the share of zeros is known with stats="full"'
    )
    if flow.learning_rate is not None:
        yield (
            f"update: {flow.learning_rate:g} · |gradient| / |parameter|, a step of plain SGD; "
            f"too large above {UPDATE_TOO_LARGE:g}, too small below {UPDATE_TOO_SMALL:g}, "
            "usual about 0.001; of biases it is not judged"
        )
    yield from (f"note: {visible(note)}" for note in flow.notes)
