"""The steps of a recording: what was called in each, and which of them are kept."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from ...events.recording import Step
from ...events.trace import Trace
from .call_chunks import CallChunk
from .calls import ThreadCalls

__all__ = ["StepBook", "StepNotes", "StepPlan"]


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
        pass_count: How many outermost passes began in it, recorded or not.
    """

    index: int
    start_ns: int
    end_ns: int = 0
    ended_by: str = ""
    chunks: dict[ThreadCalls, CallChunk] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)
    trace_starts_ns: list[int] = field(default_factory=list)
    pass_count: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was computed in it."""
        called = any(chunk.rows or chunk.modules for chunk in self.chunks.values())
        return not (self.traces or called)


class StepPlan(Protocol):
    """Chooses the steps to record, and is told of each step as it ends.

    Outside of these steps nearly nothing is watched: steps are counted, and that is all.
    """

    def wants(self, index: int) -> bool:
        """Whether to record a step."""

    def ended(self, step: StepNotes) -> None:
        """A step is over, recorded or not; its time does not include this call."""


class StepBook:
    """Cuts a recording into steps and keeps the last ones.

    Args:
        limit: How many steps to keep, besides the one that runs; None for all.
        plan: Which steps to record; None for all.

    Attributes:
        thread_count: How many threads were recorded so far.
        kept: The steps that are kept, oldest first; the last one may run.
        current: The step that runs.
        is_recorded: Whether that one is.
    """

    def __init__(self, limit: int | None, plan: StepPlan | None = None) -> None:
        self.kept: deque[StepNotes] = deque()
        self._limit = limit
        self._plan = plan
        self._count = 0
        self._threads: list[ThreadCalls] = []
        self.thread_count = 0
        self.is_recorded = True
        self.start(early=True)

    @property
    def dropped(self) -> int:
        """How many steps were there before the first one that is kept."""
        return self.kept[0].index if self.kept else self.current.index

    def chunks(self) -> list[CallChunk]:
        """What was called in all steps that are kept."""
        return [chunk for step in self.kept for chunk in step.chunks.values()]

    def add_thread(self, calls: ThreadCalls) -> None:
        """Another thread is recorded from now on."""
        self._threads.append(calls)
        self.thread_count += 1
        self._add_chunk(self.current, calls)

    def drop_thread(self, calls: ThreadCalls) -> None:
        """A thread is over; what it called stays with its steps."""
        if calls in self._threads:
            self._threads.remove(calls)

    def chunk_of(self, calls: ThreadCalls) -> CallChunk | None:
        """What a thread called in the step that runs."""
        return self.current.chunks.get(calls)

    def start(self, *, early: bool) -> None:
        """A step begins.

        Args:
            early: Record it too if the next one is to be: where backward passes end steps, the
                forward part of a step is computed before that step is known to have begun.
        """
        index, self._count = self._count, self._count + 1
        plan = self._plan
        self.is_recorded = plan is None or plan.wants(index) or (early and plan.wants(index + 1))
        self.current = step = StepNotes(index, time.perf_counter_ns())
        self._trim()
        if self.is_recorded:
            self.kept.append(step)
        for calls in self._threads:
            calls.start_chunk()
            self._add_chunk(step, calls)

    def close(self, *, has_effects: bool = False) -> None:
        """The last step is over, and none follows.

        What is left behind the last step of an optimizer, where nothing was computed any more, is
        none.

        Args:
            has_effects: Whether a write or a cut was noted in it.
        """
        if len(self.kept) > 1 and self.kept[-1].is_empty and not has_effects:
            self.kept.pop()
        self._trim()

    def _trim(self) -> None:
        while self._limit is not None and len(self.kept) > self._limit:
            self.kept.popleft()

    def finish(self, reason: str) -> None:
        """The step that runs is over.

        Raises:
            Exception: What the plan raises, as it is told.
        """
        step = self.current
        step.end_ns = time.perf_counter_ns()
        step.ended_by = reason
        if self._plan is not None:
            self._plan.ended(step)

    def to_records(self, begin_ns: int) -> tuple[Step, ...]:
        """The steps that are kept as records.

        Args:
            begin_ns: Value of the clock that counts as 0.
        """
        records, first = [], 0
        for step in self.kept:
            records.append(
                Step(
                    index=step.index,
                    start_ns=step.start_ns - begin_ns,
                    duration_ns=(step.end_ns or time.perf_counter_ns()) - step.start_ns,
                    ended_by=step.ended_by,
                    traces=tuple(range(first, first + len(step.traces))),
                )
            )
            first += len(step.traces)
        return tuple(records)

    def _add_chunk(self, step: StepNotes, calls: ThreadCalls) -> None:
        step.chunks[calls] = CallChunk(
            thread=calls.name,
            owner=calls.key,
            step=step.index,
            first_nr=calls.first_nr,
            rows=calls.rows,
            modules=calls.modules,
        )
