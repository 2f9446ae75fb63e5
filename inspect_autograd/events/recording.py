"""Recording: what a program did in whole steps, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ArgumentError, InspectAutogradError
from ..graph.creation import Creation
from ..graph.graph import Graph
from .deferred import Deferred
from .effects import Cut, Mutation
from .records import Environment, StatsLevel
from .timeline import ModuleSpan, Timeline
from .trace import Trace

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from ..graph.saved_memory import SavedMemory
    from .module_rows import ModuleRow

__all__ = ["Recording", "RecordingData", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a recording.

    Attributes:
        index: Counted from 0 since the block was entered.
        start_ns: When it began, from the start of the recording.
        duration_ns: How long it took.
        ended_by: What ended it; empty while it runs.
        traces: Indices in `Recording.traces` of its backward passes.
    """

    index: int
    start_ns: int
    duration_ns: int
    ended_by: str
    traces: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecordingData:
    """All that a recording holds as plain records; see `Recording` for each part."""

    traces: tuple[Trace, ...] = ()
    trace_starts_ns: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    dropped_steps: int = 0
    cuts: tuple[Cut, ...] = ()
    mutations: tuple[Mutation, ...] = ()
    modules: tuple[ModuleSpan, ...] = ()
    stats_level: StatsLevel | Literal["off"] = "meta"
    notes: tuple[str, ...] = ()
    environment: Environment = field(default_factory=Environment)


class Recording(Deferred[RecordingData]):
    """What a program did: its graphs with lines and modules, passes, writes and cuts.

    Made by `inspect_autograd.record` and `inspect_autograd.load`. It can be looked at inside the
    block too, where it shows what has happened so far. It is plain data and holds no tensor.
    """

    __slots__ = ("_creation_source", "_end_step")

    _WHAT = "recording"
    _REMEDY = "Use `with inspect_autograd.record(model) as recording:`."

    def __init__(
        self,
        data: RecordingData | None = None,
        *,
        source: Callable[[], RecordingData] | None = None,
        creation_source: Callable[[Any], Creation | None] | None = None,
        end_step: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(data, source=source)
        self._creation_source = creation_source
        self._end_step = end_step

    # -- parts ---------------------------------------------------------------------------------

    def close(self, data: RecordingData) -> None:
        """Give it its final data; from now on it is plain data."""
        self._settle(data)
        self._end_step = None

    @property
    def traces(self) -> tuple[Trace, ...]:
        """The backward passes of the steps that are kept, in order, each with its graph."""
        return self.data.traces

    @property
    def graph(self) -> Graph:
        """The graph of the last backward pass.

        Raises:
            ArgumentError: No backward pass ran in the block.
        """
        traces = self.traces
        if not traces:
            raise ArgumentError(
                "this recording holds no graph, since no backward pass ran in its block",
                remedy="Call backward() inside the block, or look at a graph before that with "
                "inspect_autograd.capture(loss).",
            )
        return traces[-1].graph

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are kept, oldest first."""
        return self.data.steps

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where tensors that carried a graph went on without one; what costs gradients first."""
        return self.data.cuts

    @property
    def mutations(self) -> tuple[Mutation, ...]:
        """Every write in place, in order."""
        return self.data.mutations

    @property
    def modules(self) -> tuple[ModuleSpan, ...]:
        """Every call of a module, in the order in which they began."""
        return self.data.modules

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not seen, and why."""
        return self.data.notes

    @property
    def environment(self) -> Environment:
        """Versions and settings that the recording was made with."""
        return self.data.environment

    def end_step(self) -> None:
        """Say that a step ends here, where no optimizer says so; only inside the block."""
        if self._end_step is None:
            raise InspectAutogradError(
                "end_step() was called outside the block of the recording",
                remedy="Call it inside `with inspect_autograd.record(model) as recording:`.",
            )
        self._end_step("recording.end_step()")

    def creation_of(self, node: Any) -> Creation | None:
        """What is known of the creation of a live node (`tensor.grad_fn`), in this process."""
        return None if self._creation_source is None else self._creation_source(node)

    def __eq__(self, other: object) -> bool:
        """Equal data, where one NaN is equal to another; kept tensors are not compared."""
        from .recording_codec import comparable

        if not isinstance(other, Recording):
            return False
        ours, theirs = self.data, other.data
        return ours is theirs or comparable(ours) == comparable(theirs)

    __hash__ = None  # type: ignore[assignment]

    # -- queries -------------------------------------------------------------------------------

    def saved_memory(
        self,
        by: Literal["scope", "line", "op", "node"] = "scope",
        *,
        depth: int | None = None,
        trace: int = -1,
    ) -> SavedMemory:
        """Bytes that autograd kept for the backward pass, as it was about to begin.

        Args:
            by: What a row stands for.
            depth: For `scope`, how many components of the module path to keep.
            trace: Which backward pass, as an index in `traces`; the last one by default.
        """
        from ..graph.saved_memory import find_saved_memory

        traces = self.traces
        if not traces:
            _ = self.graph  # Says why there is none.
        if not -len(traces) <= trace < len(traces):
            raise ArgumentError(
                f"trace is {trace}, but this recording holds {len(traces)} backward passes",
                remedy="Give an index in recording.traces; -1 is the last one.",
            )
        return find_saved_memory(traces[trace].graph, by=by, depth=depth)

    def timeline(self) -> Timeline:
        """Steps, module calls, backward passes and writes, in the order in which they began."""
        from .timeline import find_timeline

        return find_timeline(self)

    def module_rows(self) -> tuple[ModuleRow, ...]:
        """What each module cost: time, nodes, saved memory, gradients; the slowest first."""
        from .module_rows import find_module_rows

        return find_module_rows(self.data)

    def table(self, *, max_lines: int = 60) -> str:
        """The rows of `module_rows` as an aligned text table.

        Other tables are those of the parts: `traces[0].table()` shows what ran node by node, and
        `saved_memory(by="line")` who keeps how much memory.

        Args:
            max_lines: Longest text; what is left out is said.
        """
        from ..render.module_table import render_module_table

        return render_module_table(self, max_lines=max_lines)

    # -- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the recording to a file; the suffix chooses what.

        `.json` is the whole recording, which `inspect_autograd.load` reads back without torch.
        `.chrome.json` is the timeline, for https://ui.perfetto.dev.
        """
        from .recording_file import save_recording

        return save_recording(self, path)

    def __str__(self) -> str:
        from ..render.recording_text import render_recording

        return render_recording(self)

    def __repr__(self) -> str:
        data = self.data
        counts = (
            (len(data.traces), "backward pass", "backward passes"),
            (len(data.mutations), "write", "writes"),
            (len(data.cuts), "cut", "cuts"),
        )
        parts = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts)
        return f"<Recording of {len(data.steps)} step{'s' * (len(data.steps) != 1)}: {parts}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))
