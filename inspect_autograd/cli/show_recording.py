"""What `inspect-autograd show` prints of a recording."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from ..errors import TargetError
from ..events.recording import Recording
from ..events.trace import Trace
from ..render.escape import visible
from ..render.write_table import write_lines
from .result import Say, UsageError
from .show_memory import show_memory
from .target import MAKE_A_RECORDING
from .wording import reword

__all__ = [
    "FOR_RECORDINGS",
    "add_recording_views",
    "add_trace_argument",
    "choose_trace",
    "show_recording",
]

FOR_RECORDINGS = dict.fromkeys(("--cuts", "--writes", "--timeline", "--trace"), MAKE_A_RECORDING)


def add_recording_views(views: argparse._MutuallyExclusiveGroup) -> None:
    """Add what can be shown of a recording only."""
    views.add_argument(
        "--cuts", action="store_true", help="of a recording: where tensors lost their graph"
    )
    views.add_argument(
        "--writes", action="store_true", help="of a recording: what was written in place, by line"
    )
    views.add_argument(
        "--timeline",
        action="store_true",
        help="of a recording: when modules, backward passes and writes took place",
    )


def add_trace_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--trace`.

    Args:
        parser: Of the verb.
        what: What is done with the trace.
    """
    parser.add_argument("--trace", type=_index, metavar="N", help=f"of a recording: {what}")


def choose_trace(recording: Recording, options: argparse.Namespace) -> Trace:
    """The trace that `--trace` says, or the last one.

    Raises:
        TargetError: The recording has no trace.
        UsageError: It does not have that one.
    """
    traces, index = recording.traces, options.trace
    if not traces:
        raise TargetError(
            f"{options.target} holds no backward pass, as none ran while it was recorded",
            remedy="Call backward() inside the recorded block.",
        )
    if index is not None and index >= len(traces):
        there = "trace 0 only" if len(traces) == 1 else f"the traces 0 to {len(traces) - 1}"
        raise UsageError(
            f"--trace is {index}, but {options.target} has {there}",
            remedy="Give one of these; each is a backward pass.",
        )
    return traces[-1 if index is None else index]


def show_recording(recording: Recording, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Print the recording, or the part of it that was asked for; the same as data."""
    if options.cuts:
        say(_lines(map(str, recording.cuts), options.max_lines) or "nothing was cut off its graph")
        return {"cuts": recording.cuts}
    if options.writes:
        lines = write_lines(recording.mutations, options.max_lines)
        say(reword("\n".join(lines)) or "nothing was written in place")
        return {"writes": recording.mutations}
    if options.timeline:
        timeline = recording.timeline()
        say(reword(timeline.table(max_lines=options.max_lines)))
        return {"timeline": timeline.entries}
    if options.memory:
        return show_memory(choose_trace(recording, options).graph, options, say)
    rows = recording.module_rows()
    if options.modules:
        say(reword(recording.table(max_lines=options.max_lines)))
        return {"modules": rows}
    say(reword(str(recording)))
    kept = ("steps", "dropped_steps", "cuts", "stats_level", "notes", "environment")
    return {name: getattr(recording.data, name) for name in kept} | {
        "writes": len(recording.mutations),
        "modules": rows,
        "traces": [_trace_data(trace) for trace in recording.traces],
    }


def _trace_data(trace: Trace) -> dict[str, Any]:
    report = None if trace.stats_level == "meta" else trace.first_nonfinite()
    return {
        "nodes": len(trace.graph),
        "events": len(trace),
        "outcome": trace.outcome,
        "first_nonfinite": None
        if report is None
        else {field.name: getattr(report, field.name) for field in fields(report)},
    }


def _lines(texts: Iterable[str], most: int) -> str:
    lines: Sequence[str] = [visible(text) for text in texts]
    left = len(lines) - most
    more = [f"… and {left + 1} more; --max-lines {len(lines)} shows all"] if left > 0 else []
    return "\n".join([*lines[: most - len(more)], *more])


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a trace, such as 0")
    return int(text)
