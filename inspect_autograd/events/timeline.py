"""When what happened in a recorded program: modules, backward passes, writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..graph.creation import SourceLine
from .pass_spans import find_spans

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["ModuleSpan", "Timeline", "TimelineEntry", "find_timeline"]

STEPS = 0
"""`tid` of the track of the steps."""


@dataclass(frozen=True, slots=True)
class ModuleSpan:
    """One call of a module.

    Attributes:
        path: Its module path.
        call: Which call of it in its step, from 0.
        step: Index of the step.
        depth: How many module calls it was inside of.
        thread: Name of the thread.
        start_ns: When it began, from the start of the recording.
        duration_ns: How long it took, what it called included.
        source: The user's line that called it, or the line that called the module around it.
    """

    path: str
    call: int
    step: int
    depth: int
    thread: str
    start_ns: int
    duration_ns: int
    source: SourceLine | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a timeline.

    Attributes:
        kind: `module`, `backward`, `write` or `step`.
        name: Module path and class of the call, function that wrote, or how a pass was called.
        step: Index of the step.
        depth: How far to indent.
        thread: Name of the thread.
        start_ns: From the start of the recording.
        duration_ns: 0 for a write, and for a pass of which no events were recorded.
        source: The user's line.
        detail: What else there is to say.
    """

    kind: Literal["module", "backward", "write", "step"]
    name: str
    step: int
    depth: int
    thread: str
    start_ns: int
    duration_ns: int
    source: SourceLine | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The entries of a recording in the order in which they began; printable."""

    entries: tuple[TimelineEntry, ...]

    def to_chrome_trace(self) -> dict[str, Any]:
        """The timeline in Chrome's trace event format, which https://ui.perfetto.dev shows.

        Steps have a track of their own above those of the threads: a step may end while a module
        still runs, and bars of one track must not overlap.
        """
        threads = {entry.thread: None for entry in self.entries if entry.kind != "step"}
        numbers = {thread: number for number, thread in enumerate(threads, start=1)}
        tracks = [(STEPS, "steps"), *((number, thread) for thread, number in numbers.items())]
        names = [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": _valid(name)}}
            for tid, name in tracks
        ]
        # What encloses comes first, also where both begin at once.
        entries = sorted(self.entries, key=lambda entry: (entry.start_ns, -entry.duration_ns))
        return {
            "traceEvents": names + [_to_bar(entry, numbers) for entry in entries],
            "displayTimeUnit": "ms",
            "otherData": {"made_by": "inspect_autograd"},
        }

    def table(self, *, max_lines: int = 80) -> str:
        """The entries as indented text.

        Args:
            max_lines: Longest text. What is inside of most others is left out first, which is said.

        Raises:
            ArgumentTypeError, ArgumentError: `max_lines` is not a number above 0.
        """
        from ..render.timeline_text import render_timeline

        return render_timeline(self, max_lines=max_lines)

    def __str__(self) -> str:
        return self.table()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text("Timeline(…)" if cycle else str(self))


def _to_bar(entry: TimelineEntry, threads: dict[str, int]) -> dict[str, Any]:
    args = {"step": entry.step, "detail": _valid(entry.detail)}
    if entry.source is not None:
        args["source"] = _valid(str(entry.source))
    bar = {
        "ph": "X" if entry.duration_ns else "i",
        "name": _valid(entry.name),
        "cat": entry.kind,
        "pid": 1,
        "tid": STEPS if entry.kind == "step" else threads[entry.thread],
        "ts": entry.start_ns / 1000,
        "args": args,
    }
    return bar | ({"dur": entry.duration_ns / 1000} if entry.duration_ns else {"s": "t"})


def _valid(name: str) -> str:
    """The name without lone surrogates, which no viewer accepts."""
    return name.encode("utf-8", "backslashreplace").decode()


def find_timeline(recording: Recording) -> Timeline:
    """Steps, module calls, backward passes and writes in the order in which they began."""
    data = recording.data
    thread = data.modules[0].thread if data.modules else "MainThread"
    entries = [
        TimelineEntry(
            "step",
            f"step {step.index}",
            step.index,
            0,
            thread,
            step.start_ns,
            step.duration_ns,
            detail=f"ended by {step.ended_by}" if step.ended_by else "",
        )
        for step in data.steps
    ]
    entries += [_module_entry(span) for span in data.modules]
    entries += [entry for step in data.steps for entry in _pass_entries(recording, step.traces)]
    entries += [
        TimelineEntry(
            "write",
            write.function,
            write.step,
            1,
            write.thread,
            write.time_ns,
            0,
            write.source,
            f"{write.target}: {write.meta}",
        )
        for write in data.mutations
    ]
    entries.sort(key=lambda e: (e.start_ns, e.kind != "step", -e.duration_ns))
    return Timeline(tuple(_nest(entries)))


def _nest(entries: Iterable[TimelineEntry]) -> Iterator[TimelineEntry]:
    """The entries with their depth: in how many bars of its thread each one is, and in its step."""
    ends: dict[str, list[int]] = {}
    for entry in entries:
        if entry.kind == "step":
            yield entry
            continue
        inside = ends.setdefault(entry.thread, [])
        while inside and inside[-1] <= entry.start_ns:
            inside.pop()
        yield replace(entry, depth=1 + len(inside))
        if entry.duration_ns:
            inside.append(entry.start_ns + entry.duration_ns)


def _module_entry(span: ModuleSpan) -> TimelineEntry:
    name = span.path or "the model"
    call = f", call {span.call + 1}" if span.call else ""
    return TimelineEntry(
        "module",
        name + call,
        span.step,
        1,
        span.thread,
        span.start_ns,
        span.duration_ns,
        span.source,
    )


def _pass_entries(recording: Recording, traces: tuple[int, ...]) -> list[TimelineEntry]:
    data = recording.data
    step_of = {trace: step.index for step in data.steps for trace in step.traces}
    entries = []
    for index in traces:
        trace, start = data.traces[index], data.trace_starts_ns[index]
        spans = find_spans(trace.data)
        for ran in trace.passes:
            first, last = spans.get(ran.id, (0, 0))
            source = (
                None
                if ran.file is None
                else SourceLine(ran.file, ran.line or 0, ran.function or "")
            )
            entries.append(
                TimelineEntry(
                    "backward",
                    f"{ran.call}()",
                    step_of[index],
                    1,
                    trace.threads[ran.thread] if ran.thread < len(trace.threads) else "",
                    start + first,
                    last - first,
                    source,
                    f"trace {index}, {ran.outcome.status}",
                )
            )
    return entries
