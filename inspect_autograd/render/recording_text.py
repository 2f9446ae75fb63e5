"""A recording as text: what `print(recording)` shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from ..events.effects import Cut
from ..events.recording import Recording, RecordingData
from ..events.trace import Trace
from ..graph.fold.labels import plural
from .escape import shorten, visible
from .gradient_text import format_duration
from .module_table import MEANING, module_lines
from .step_table import busy_steps, step_lines
from .write_table import write_lines

__all__ = ["render_recording"]

WIDTH = 120
MAX_LOSING_CUTS = 8
MAX_OTHER_CUTS = 3
MAX_MODULES = 12
MAX_WRITES = 8
MAX_NOTES = 5
MAX_LINES_PER_NOTE = 3
LEVELS = {
    "off": 'stats="off": which graphs ran, not their nodes one by one',
    "meta": 'stats="meta": shapes of gradients, not their values',
    "basic": 'stats="basic": gradients with their norms',
    "full": 'stats="full": gradients with all numbers',
}


def render_recording(recording: Recording) -> str:
    """What went wrong first, then steps, modules, cuts, writes and notes.

    Every part has a bounded number of lines, and says what is left out of it.
    """
    data = recording.data
    parts = [
        [_headline(data)],
        [*_losing_cuts(data.cuts), *_nonfinite(data.traces)],
        step_lines(data),
        [*_modules(recording)],
        [*_other_cuts(data.cuts)],
        [*_writes(data)],
        [*_notes(data)],
        [_more(data)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _headline(data: RecordingData) -> str:
    steps = busy_steps(data)
    duration = sum(step.duration_ns for step in steps)
    passes = len(data.traces)
    what = f"{passes} backward pass{'es' * (passes != 1)}"
    count = data.dropped_steps
    were = "one was" if count == 1 else "ones were"
    dropped = f" ({count} earlier {were} dropped)" if count else ""
    return (
        f"Recording of {plural(len(steps), 'step')}{dropped}, {what}, "
        f"{format_duration(duration)}; {LEVELS[data.stats_level]}"
    )


# -- what went wrong -------------------------------------------------------------------------------


def _losing_cuts(cuts: Sequence[Cut]) -> Iterator[str]:
    losing = [cut for cut in cuts if cut.lost]
    if not losing:
        return
    yield f"! {plural(len(losing), 'cut')} of the graph, where parameters lose their gradient:"
    yield from (f"!   {_one_line(str(cut))}" for cut in losing[:MAX_LOSING_CUTS])
    if len(losing) > MAX_LOSING_CUTS:
        yield f"!   … and {len(losing) - MAX_LOSING_CUTS} more; recording.cuts has all"


def _nonfinite(traces: Sequence[Trace]) -> Iterator[str]:
    bad = [index for index, trace in enumerate(traces) if _has_nonfinite(trace)]
    if not bad:
        return
    report = traces[bad[0]].first_nonfinite()
    what = "NaN or Inf was seen" if report is None else report.headline
    yield _one_line(f"! {what}")
    passes = f"in {len(bad)} of {len(traces)} backward passes; " if len(traces) > 1 else ""
    yield f"!   {passes}print(recording.traces[{bad[0]}].first_nonfinite()) tells more"


def _has_nonfinite(trace: Trace) -> bool:
    if trace.stats_level == "meta":
        return False
    given = (root.stats for one in trace.passes for root in one.roots)
    return any(
        stats is not None and stats.is_finite is False
        for stats in (*trace.data.table.stats, *given)
    )


# -- the rest --------------------------------------------------------------------------------------


def _modules(recording: Recording) -> Iterator[str]:
    rows = recording.module_rows()
    yield from module_lines(rows[:MAX_MODULES])
    left = len(rows) - MAX_MODULES
    if left > 0:
        yield f"… and {plural(left, 'more module')} that took less; see recording.table()"
    if rows:
        yield MEANING


def _other_cuts(cuts: Sequence[Cut]) -> Iterator[str]:
    others = [cut for cut in cuts if not cut.lost]
    if not others:
        return
    yield f"{plural(len(others), 'cut')} of the graph that cost nothing:"
    yield from (f"  {_one_line(str(cut))}" for cut in others[:MAX_OTHER_CUTS])
    if len(others) > MAX_OTHER_CUTS:
        yield f"  … and {len(others) - MAX_OTHER_CUTS} more; recording.cuts has all"


def _writes(data: RecordingData) -> Iterator[str]:
    lines = write_lines(data.mutations, MAX_WRITES)
    if lines:
        yield f"{plural(len(data.mutations), 'write')} in place:"
        yield from (f"  {line}" for line in lines)


def _notes(data: RecordingData) -> Iterator[str]:
    if not data.traces:
        yield "note: no backward pass ran in the block, so there is no graph to look at"
    yield from (line for note in data.notes[:MAX_NOTES] for line in _wrap(f"note: {note}"))
    if len(data.notes) > MAX_NOTES:
        yield f"… and {plural(len(data.notes) - MAX_NOTES, 'more note')}: recording.notes"


def _more(data: RecordingData) -> str:
    if not data.traces:
        return "more: recording.table(), recording.timeline()"
    return (
        "more: recording.table(), recording.timeline(), recording.traces[0], "
        'recording.saved_memory(by="line")'
    )


def _one_line(text: str) -> str:
    return shorten(visible(text), 2 * WIDTH)


def _wrap(text: str) -> Iterable[str]:
    text = shorten(visible(" ".join(text.split())), MAX_LINES_PER_NOTE * (WIDTH - 10))
    return wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
