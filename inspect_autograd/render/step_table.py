"""The steps of a recording as an aligned table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..events.pass_spans import find_spans
from ..events.recording import RecordingData, Step
from ..events.trace import Trace
from .escape import shorten, visible
from .gradient_text import format_duration
from .table import format_table

__all__ = ["busy_steps", "step_lines"]

MAX_STEPS = 10
MAX_REMARK_CHARS = 50
TITLES = ("step", "time", "forward", "passes", "nodes", "backward", "writes", "ended by", "")
RIGHT = (0, 1, 2, 3, 4, 5, 6)


def busy_steps(data: RecordingData) -> tuple[Step, ...]:
    """The steps, without a last one in which nothing was seen.

    The last `optimizer.step()` begins one, which ends with the block.
    """
    steps = data.steps
    if not steps or steps[-1].traces:
        return steps
    last = steps[-1].index
    is_busy = any(span.step == last for span in data.modules)
    is_busy |= any(write.step == last for write in data.mutations)
    return steps if is_busy else steps[:-1]


def step_lines(data: RecordingData) -> list[str]:
    """The titles, and a line for each step; of many steps the first and the last ones."""
    steps = busy_steps(data)
    if not steps:
        return []
    forward: Counter[int] = Counter()
    for span in data.modules:
        forward[span.step] += span.duration_ns if span.depth == 0 else 0
    writes = Counter(write.step for write in data.mutations)
    if len(steps) > MAX_STEPS:
        head = MAX_STEPS // 2
        shown = (*steps[:head], *steps[head - MAX_STEPS :])
        left = len(steps) - len(shown)
    else:
        head, shown, left = 0, steps, 0
    rows = [_cells(data, step, forward[step.index], writes[step.index]) for step in shown]
    lines = format_table(rows, TITLES, RIGHT).splitlines()
    if left:
        lines.insert(head + 1, f"  … {left} steps; recording.steps has all")
    return lines


def _cells(data: RecordingData, step: Step, forward_ns: int, writes: int) -> list[str]:
    traces = [data.traces[index] for index in step.traces]
    backward_ns = sum(map(_duration_ns, traces))
    return [
        str(step.index),
        format_duration(step.duration_ns),
        format_duration(forward_ns) if forward_ns else "",
        str(len(traces)) if traces else "none",
        str(sum(len(trace.graph) for trace in traces)) if traces else "",
        format_duration(backward_ns) if backward_ns else "",
        str(writes) if writes else "",
        visible(step.ended_by) or "(still running)",
        _remark(traces),
    ]


def _duration_ns(trace: Trace) -> int:
    """From the start of its first event to the end of the last one, as far as events tell."""
    spans = find_spans(trace.data).values()
    return max((end for _, end in spans), default=0) - min((begin for begin, _ in spans), default=0)


def _remark(traces: Sequence[Trace]) -> str:
    for trace in traces:
        outcome = trace.outcome
        if outcome.status == "raised":
            return shorten(visible(f"backward raised {outcome.error}"), MAX_REMARK_CHARS)
    return ""
