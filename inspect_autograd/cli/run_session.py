"""One run from its first to its last line: what is recorded, and what is written at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events.recording import Recording
from ..events.trace import Trace
from ..render.report_rich import render_report_for_terminal
from .run_arguments import Program
from .run_files import RECORDING, RunFolder
from .run_plan import RunPlan
from .run_progress import Progress
from .run_report import REPORT, explain_ending
from .run_steps import StepChoice
from .run_torch_import import when_torch_is_imported

if TYPE_CHECKING:
    from ..live.recording.recorder import Recorder

__all__ = ["RunOptions", "Session", "complain"]

IN_MEMORY = 8
"""How many of the last steps that are recorded recording.json holds, if --steps names no number
of last ones."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says.

    Attributes:
        choice: The steps to keep.
        out: Folder for the files of this process.
        stats: What to note of gradients.
        pictures: Suffix of pictures to draw; empty for none.
        effects: Whether to note cuts and writes.
        stack: Whether to keep all of PyTorch's own lines.
        quiet: Whether to print nothing unless something goes wrong.
        debug: Whether to print the traceback of our own errors.
        rank: Which of several processes this is; None if there is one.
    """

    choice: StepChoice
    out: Path
    stats: Any
    pictures: str
    effects: bool
    stack: bool
    quiet: bool
    debug: bool
    rank: int | None

    @property
    def speaks(self) -> bool:
        """Whether this process prints the progress and the summary."""
        return not self.quiet and not self.rank


class Session:
    """Records the program that runs in this process.

    Args:
        options: What the command line says.
        program: What runs.

    Attributes:
        plan: What becomes of each step.
        folder: Where files go.
        has_torch: Whether the script has imported torch.
        recording: What was recorded; None if nothing could be.
        seconds: How long the script ran.

    Raises:
        UsageError: The folder for the files cannot be one.
    """

    def __init__(self, options: RunOptions, program: Program) -> None:
        self.options = options
        self.program = program
        self.folder = RunFolder(options.out, str(program))
        stderr = sys.__stderr__
        self._is_terminal = stderr is not None and stderr.isatty()
        self.plan = RunPlan(
            options.choice,
            self.folder,
            Progress(is_on=self._is_terminal and options.speaks),
            has_values=options.stats in ("basic", "full"),
        )
        self.recording: Recording | None = None
        self.seconds = 0.0
        self.has_torch = False
        self._begin = time.monotonic()
        self._recorder: Recorder | None = None
        self._pid = os.getpid()
        self._path = sys.path[:]
        self._is_finished = False

    @property
    def is_here(self) -> bool:
        """Whether this is the process that was started, and not one that it has forked."""
        return os.getpid() == self._pid

    def begin(self) -> None:
        """Wait for the script to import torch, and record from then on."""
        when_torch_is_imported(self._record)

    def _record(self) -> None:
        if not self.is_here:
            return
        self.has_torch = True
        with self._guard("record this script"), self._own_path():
            from ..live.recording.recorder import Recorder

            options = self.options
            recorder = Recorder(
                (),
                params=None,
                stats=options.stats,
                saved=True,
                effects=options.effects,
                # One more, as what comes after the last optimizer.step() may be a step too.
                limit=(options.choice.last or IN_MEMORY) + 1,
                stack=options.stack,
                plan=self.plan,
            )
            self.recording = recorder.__enter__()
            self._recorder = recorder

    def finish(self, error: BaseException | None) -> None:
        """The script is over: write and say what there is. Nothing of it fails the script.

        Args:
            error: What ended the script, if it was an error.
        """
        if self._is_finished or not self.is_here:
            return
        if any(_outlives_main(thread) for thread in threading.enumerate()):
            # Python waits for them now, and calls this afterwards.
            import atexit

            atexit.register(self._finish, error)
        else:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        self._is_finished = True
        self.seconds = time.monotonic() - self._begin
        try:
            with self._own_path():
                self._close(error)
                self._explain(error)
                self._write(error)
                self._speak(error)
        except KeyboardInterrupt:
            complain("interrupted before everything was written")

    def _close(self, error: BaseException | None) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            with self._guard("end the recording"):
                recorder.__exit__(
                    None if error is None else type(error),
                    error,
                    None if error is None else error.__traceback__,
                )

    def _explain(self, error: BaseException | None) -> None:
        """Say what PyTorch's error means, below the traceback, and leave it with the traces."""
        with self._guard("explain the error"):
            report = explain_ending(error)
            if report is None:
                return
            if self.options.speaks and sys.__stderr__ is not None:
                say("")  # Which also lets out what the script has printed.
                render_report_for_terminal(report, sys.__stderr__)
            report.save(self.folder.prepare() / REPORT)
            self.folder.add(REPORT)

    def _write(self, error: BaseException | None) -> None:
        folder = self.folder
        with self._guard("write the last traces"):
            self.plan.finish()
        for failure, step in self.plan.failures.items():
            complain(f"could not write step {step}: {failure}")
        if self.recording is not None and self.plan.kept:
            with self._guard(f"write {RECORDING}"):
                self.recording.save(folder.prepare() / RECORDING)
                folder.add(RECORDING)
        if self.options.pictures:
            self._draw()
        with self._guard("write the index"):
            ended = "raised" if error is not None else "finished"
            folder.finish(
                state=ended,
                error=None if error is None else type(error).__name__,
                steps=self.plan.steps,
                passes=self.plan.passes,
                seconds=self.seconds,
            )

    def _draw(self) -> None:
        from ..diagnosis.load import load

        for name in [name for name in self.folder.files if name.startswith("step")]:
            picture = Path(name).with_suffix(self.options.pictures).name
            with self._guard(f"draw {picture}"):
                load(self.folder.path / name, Trace).render(
                    self.folder.path / picture, title=Path(name).stem
                )
                self.folder.add(picture)

    def _speak(self, error: BaseException | None) -> None:
        from .run_summary import summarize

        with self._guard("write the summary"):
            text = summarize(self, error)
            if self.folder.files:
                path = self.folder.path / "summary.txt"
                path.write_text(f"{text}\n", encoding="utf-8")
                self.folder.add(path.name)
            if self.options.speaks:
                # On a terminal the script may have stopped in the middle of a line.
                say(f"\n{text}" if self._is_terminal else text)

    @contextmanager
    def _own_path(self) -> Iterator[None]:
        """Import what is ours from where we came from: a file of the script may be named alike."""
        theirs = sys.path[:]
        sys.path[:] = self._path
        try:
            yield
        finally:
            sys.path[:] = theirs

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        """Say what of ours has failed, and go on."""
        try:
            yield
        except Exception as error:
            if self.options.debug:
                traceback.print_exception(error)
            complain(f"could not {what}: {type(error).__name__}: {error}")


def _outlives_main(thread: threading.Thread) -> bool:
    return thread is not threading.main_thread() and not thread.daemon and thread.is_alive()


def complain(text: str) -> None:
    """One line about what of ours went wrong."""
    say(f"inspect-autograd: {' '.join(text.split())}")


def say(text: str) -> None:
    """Print to the stderr that the process began with, wherever the script has led its own."""
    # What the script has printed comes first, also where both go to one file.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()
    stream = sys.__stderr__
    try:
        if stream is not None:
            encoded = f"{text}\n".encode(stream.encoding, "backslashreplace")
            stream.flush()
            stream.buffer.write(encoded)
            stream.buffer.flush()
    except (AttributeError, OSError, ValueError):
        pass  # Closed by the script, or by whoever read it.
