"""The steps of a recording: what was called in each, and which of them are kept."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from ...events.trace import Trace
from .attribution import CallChunk
from .calls import ThreadCalls

__all__ = ["StepBook", "StepNotes"]


@dataclass(slots=True, eq=False)
class StepNotes:
    """What is kept of one step.

    Attributes:
        index: Counted from 0 since the block was entered.
        start_ns: When it began, by `time.perf_counter_ns`.
        end_ns: When it ended; 0 while it runs.
        ended_by: What ended it.
        chunks: What each thread called, by the ThreadCalls.
        traces: Its outermost backward passes.
        trace_starts_ns: What counts as 0 for the times of each, by `time.perf_counter_ns`.
    """

    index: int
    start_ns: int
    end_ns: int = 0
    ended_by: str = ""
    chunks: dict[ThreadCalls, CallChunk] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)
    trace_starts_ns: list[int] = field(default_factory=list)


class StepBook:
    """Cuts a recording into steps and keeps the last ones.

    Args:
        limit: How many steps to keep; None for all.

    Attributes:
        kept: The steps that are kept, oldest first; the last one runs.
    """

    def __init__(self, limit: int | None) -> None:
        self.kept: deque[StepNotes] = deque(maxlen=limit)
        self._threads: list[ThreadCalls] = []
        self.start()

    @property
    def current(self) -> StepNotes:
        """The step that runs."""
        return self.kept[-1]

    @property
    def dropped(self) -> int:
        """How many steps are not kept any more."""
        return self.kept[0].index

    def chunks(self) -> list[CallChunk]:
        """What was called in all steps that are kept."""
        return [chunk for step in self.kept for chunk in step.chunks.values()]

    def add_thread(self, calls: ThreadCalls) -> None:
        """Another thread is recorded from now on."""
        self._threads.append(calls)
        self._add_chunk(self.current, calls)

    def drop_thread(self, calls: ThreadCalls) -> None:
        """A thread is over; what it called stays with its steps."""
        if calls in self._threads:
            self._threads.remove(calls)

    def chunk_of(self, calls: ThreadCalls) -> CallChunk | None:
        """What a thread called in the step that runs."""
        return self.current.chunks.get(calls)

    def start(self) -> None:
        """A step begins."""
        index = self.kept[-1].index + 1 if self.kept else 0
        step = StepNotes(index, time.perf_counter_ns())
        self.kept.append(step)
        for calls in self._threads:
            calls.start_chunk()
            self._add_chunk(step, calls)

    def end(self, reason: str) -> None:
        """The step that runs is over, and another one begins."""
        self.finish(reason)
        self.start()

    def finish(self, reason: str) -> None:
        """The step that runs is over."""
        step = self.current
        step.end_ns = time.perf_counter_ns()
        step.ended_by = reason

    def _add_chunk(self, step: StepNotes, calls: ThreadCalls) -> None:
        step.chunks[calls] = CallChunk(
            thread=calls.name,
            owner=id(calls),
            step=step.index,
            first_nr=calls.first_nr,
            rows=calls.rows,
            modules=calls.modules,
        )
