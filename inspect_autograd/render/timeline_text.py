"""A timeline as indented text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from ..events.timeline import Timeline, TimelineEntry
from .escape import shorten, visible
from .gradient_text import format_duration
from .max_lines import check_max_lines
from .table import format_table

__all__ = ["render_timeline"]

MAX_LINES = 80
MAX_INDENT = 12
MAX_NAME_CHARS = 60
MAX_DETAIL_CHARS = 60
TITLES = ("start", "took", "", "line", "", "thread")
RIGHT = (0, 1)
KINDS = {"module": "module", "backward": "backward pass", "write": "write", "step": "step"}
PLURALS = {"backward": "backward passes"}


def render_timeline(timeline: Timeline, *, max_lines: int = MAX_LINES) -> str:
    """What happened when: steps, and inside of them modules, backward passes and writes.

    Args:
        timeline: The timeline.
        max_lines: Longest text. What is inside of most others is left out first, and then the
            end; both is said.

    Raises:
        ArgumentTypeError, ArgumentError: `max_lines` is not a number above 0.
    """
    check_max_lines(max_lines, 80)
    entries = _join_writes(timeline.entries)
    if not entries:
        return "nothing was recorded"
    total = len(entries) + 1
    shown = entries if total <= max_lines else _choose(entries, max(max_lines - 2, 1))
    has_threads = len({entry.thread for entry in entries if entry.kind != "step"}) > 1
    rows = [_cells(entry, has_threads=has_threads) for entry in shown]
    lines = format_table(rows, TITLES, RIGHT).splitlines()
    if len(shown) < len(entries):
        lines.append(f"{_left_out(entries, shown)}; table(max_lines={total}) shows all")
    return "\n".join(lines if len(lines) <= max_lines else [*lines[: max_lines - 1], lines[-1]])


def _join_writes(entries: Iterable[TimelineEntry]) -> list[TimelineEntry]:
    """The entries, with the writes of one call (of an optimizer, say) joined into one line."""
    joined = []
    for key, run in groupby(entries, key=_call):
        writes = [*run]
        if key is None or len(writes) == 1:
            joined += writes
            continue
        detail = f"{writes[0].detail}, … {len(writes)} tensors"
        joined.append(replace(writes[0], detail=detail))
    return joined


def _call(entry: TimelineEntry) -> tuple[object, ...] | None:
    if entry.kind != "write":
        return None
    return (entry.name, entry.source, entry.thread, entry.step, entry.depth)


def _choose(entries: Sequence[TimelineEntry], room: int) -> list[TimelineEntry]:
    """As many levels as fit, and of the outermost level as many entries as fit."""
    deepest = max(entry.depth for entry in entries)
    for depth in range(deepest, -1, -1):
        shown = [entry for entry in entries if entry.depth <= depth]
        if len(shown) <= room:
            return shown
    return [entry for entry in entries if entry.depth == 0][:room]


def _cells(entry: TimelineEntry, *, has_threads: bool) -> list[str]:
    name = f"{'  ' * min(entry.depth, MAX_INDENT)}{_label(entry)}"
    return [
        format_duration(entry.start_ns),
        format_duration(entry.duration_ns) if entry.duration_ns else "",
        name,
        "" if entry.source is None else visible(entry.source.short),
        shorten(visible(entry.detail), MAX_DETAIL_CHARS),
        visible(entry.thread) if has_threads and entry.kind != "step" else "",
    ]


def _label(entry: TimelineEntry) -> str:
    word = "write " if entry.kind == "write" else ""
    return word + shorten(visible(entry.name), MAX_NAME_CHARS)


def _left_out(entries: Sequence[TimelineEntry], shown: Sequence[TimelineEntry]) -> str:
    counts = Counter(entry.kind for entry in entries)
    counts.subtract(Counter(entry.kind for entry in shown))
    parts = [
        f"{count} {KINDS[kind] if count == 1 else PLURALS.get(kind, KINDS[kind] + 's')}"
        for kind, count in counts.items()
        if count
    ]
    return f"… and {', '.join(parts)}"
