"""What becomes of each step of a run: its traces are written, kept for later, or dropped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..events.nonfinite_report import NonfiniteReport
from ..events.trace import Trace
from .run_files import RunFolder
from .run_progress import Progress
from .run_steps import StepChoice

if TYPE_CHECKING:
    from ..live.recording.steps import StepNotes

__all__ = ["Finding", "KeptStep", "RunPlan"]

WRITING_SHARE = 20
"""Of the last steps, which most often are not the last ones after all, files are written while the
script runs, in case that it is killed: for one part of the time in so many."""


@dataclass(slots=True, eq=False)
class KeptStep:
    """A step whose traces are kept.

    Attributes:
        index: Its number.
        traces: Its backward passes.
        files: Names of the files that hold them; empty while none was written.
        stays: Whether the files stay when later steps come.
    """

    index: int
    traces: tuple[Trace, ...]
    files: tuple[str, ...] = ()
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Gradients that are not finite.

    Attributes:
        step: Index of the step.
        number: Which of its passes.
        report: Where they were born.
    """

    step: int
    number: int
    report: NonfiniteReport


@dataclass(slots=True, eq=False)
class RunPlan:
    """Chooses the steps, as `live.recording.steps.StepPlan` has it.

    Attributes:
        choice: The steps that are wanted.
        folder: Where traces are written.
        progress: Says how far the run is.
        has_values: Whether gradients are measured.
        steps: How many steps with a backward pass there were.
        passes: How many backward passes.
        last_step: Index of the last step with a backward pass.
        kept: Indices of the steps whose traces were written and are there.
        latest: The last step whose traces are kept.
        first_finding: The first gradients that are not finite, in a trace that is written.
        bad_steps: Steps with such gradients among those that are written.
        failures: Why a step could not be written, and the first one of which this is true.
    """

    choice: StepChoice
    folder: RunFolder
    progress: Progress
    has_values: bool
    steps: int = 0
    passes: int = 0
    last_step: int = -1
    kept: list[int] = field(default_factory=list)
    latest: KeptStep | None = None
    first_finding: Finding | None = None
    bad_steps: list[int] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    _ring: deque[KeptStep] = field(default_factory=deque)
    _next_write: float = 0.0

    # -- what the recorder asks and tells ------------------------------------------------------

    def wants(self, index: int) -> bool:
        """Whether to record a step."""
        choice = self.choice
        waits = choice.nonfinite and self.first_finding is None
        return choice.last > 0 or waits or choice.names(index)

    def ended(self, step: StepNotes) -> None:
        """A step is over."""
        if step.pass_count:
            self.steps += 1
            self.passes += step.pass_count
            self.last_step = step.index
        if step.traces and self.wants(step.index):
            try:
                self._take(KeptStep(step.index, tuple(step.traces)))
            except Exception as error:  # Told at the end, not in the middle of a training.
                self.failures.setdefault(f"{type(error).__name__}: {error}", step.index)
        self.progress.tell(
            step=step.index,
            passes=self.passes,
            files=len(self.folder.files),
            recording=self.wants(step.index + 1),
        )

    def finish(self) -> None:
        """The script is over: write what was kept in case that it would be the last."""
        while self._ring:
            self._write(self._ring.popleft(), stays=True)

    # -- what is kept --------------------------------------------------------------------------

    def _take(self, step: KeptStep) -> None:
        self.latest = step
        if self.choice.names(step.index) or self._has_first_nonfinite(step):
            self._write(step, stays=True)
        if not self.choice.last:
            return
        self._ring.append(step)
        if len(self._ring) > self.choice.last:
            self._drop(self._ring.popleft())
        now = time.monotonic()
        if not step.files and now >= self._next_write:
            self._write(step, stays=False)
            took = time.monotonic() - now
            self._next_write = now + took * WRITING_SHARE

    def _has_first_nonfinite(self, step: KeptStep) -> bool:
        if not self.choice.nonfinite or self.first_finding is not None:
            return False
        return next(self._findings(step), None) is not None

    def _write(self, step: KeptStep, *, stays: bool) -> None:
        step.stays = step.stays or stays
        if step.files:
            return
        try:
            step.files = tuple(
                self.folder.write_trace(trace, step.index, number)
                for number, trace in enumerate(step.traces)
            )
            self.kept.append(step.index)
        finally:  # A full disk is no reason not to tell what was found.
            self._note_findings(step)

    def _note_findings(self, step: KeptStep) -> None:
        for finding in self._findings(step):
            self.first_finding = self.first_finding or finding
            if step.index not in self.bad_steps:
                self.bad_steps.append(step.index)

    def _drop(self, step: KeptStep) -> None:
        if step.files and not step.stays:
            for name in step.files:
                self.folder.remove(name)
            self.kept.remove(step.index)

    def _findings(self, step: KeptStep) -> Iterator[Finding]:
        if not self.has_values:
            return
        for number, trace in enumerate(step.traces):
            report = trace.first_nonfinite()
            if report is not None:
                yield Finding(step.index, number, report)
