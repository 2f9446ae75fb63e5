"""Trace: what every node of a backward pass received and returned, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentTypeError
from ..graph.graph import Graph
from ..graph.records import Node
from .deferred import Deferred
from .records import (
    BackwardPass,
    Environment,
    Event,
    Evidence,
    Outcome,
    StatsLevel,
    TracedParameter,
)
from .table import EventTable, EventView

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas

    from ..render.dot import Direction
    from ..render.view import ViewName
    from .compare import Comparison
    from .first_nonfinite import NonfiniteReport
    from .gradient_flow import GradientFlow

__all__ = ["KeptTensors", "Trace", "TraceData", "as_trace"]


@dataclass(frozen=True, slots=True)
class TraceData:
    """All that a trace holds as plain records; see `Trace` for the meaning of each part."""

    graph: Graph
    table: EventTable
    stats_level: StatsLevel
    outcome: Outcome
    passes: tuple[BackwardPass, ...] = ()
    parameters: tuple[TracedParameter, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    threads: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    environment: Environment = field(default_factory=Environment)


@dataclass(frozen=True, slots=True)
class KeptTensors:
    """The gradients themselves, of a node that `keep=` asked for.

    Attributes:
        event: Order of the event.
        received: Copies of what the node received, None where no gradient came.
        returned: Copies of what it returned.
    """

    event: int
    received: tuple[Any, ...]
    returned: tuple[Any, ...]


class Trace(Deferred[TraceData]):
    """What every node of a backward pass received and returned, in the order in which they ran.

    Made by `inspect_autograd.trace` and `inspect_autograd.load`. It can be looked at inside the
    traced block too, where it shows what has run so far. It is plain data: it holds no tensor,
    but for those that `keep=` asked for.
    """

    __slots__ = ("_kept", "_kept_source")

    _WHAT = "trace"
    _REMEDY = "Make traces with `with inspect_autograd.trace(loss) as trace:`."

    def __init__(
        self,
        data: TraceData | None = None,
        *,
        source: Callable[[], TraceData] | None = None,
        kept_source: Callable[[], Mapping[int, KeptTensors]] | None = None,
    ) -> None:
        super().__init__(data, source=source)
        self._kept: Mapping[int, KeptTensors] = {}
        self._kept_source = kept_source

    # -- parts ---------------------------------------------------------------------------------

    def close(self, data: TraceData, kept: Mapping[int, KeptTensors]) -> None:
        """Give it its final data; from now on it is plain data."""
        self._settle(data)
        self._kept, self._kept_source = kept, None

    @property
    def graph(self) -> Graph:
        """The graph that ran; `Event.node` is an id in it.

        Nodes that came to light while the block ran (second-order nodes, the inner graph of a
        checkpoint, what was computed from the traced graph later on) stand after those that were
        there when the trace began.
        """
        return self.data.graph

    @property
    def events(self) -> EventView:
        """One event for each execution of a node, in the order in which they finished."""
        return EventView(self.data.table)

    @property
    def passes(self) -> tuple[BackwardPass, ...]:
        """The backward passes that took place, in the order in which they began."""
        return self.data.passes

    @property
    def outcome(self) -> Outcome:
        """How it ended: completed, or raised with what and in which node."""
        return self.data.outcome

    @property
    def stats_level(self) -> StatsLevel:
        """Which numbers were computed: `meta`, `basic` or `full`."""
        return self.data.stats_level

    @property
    def parameters(self) -> tuple[TracedParameter, ...]:
        """Every leaf of the graph and every named tensor that requires grad, reached or not."""
        return self.data.parameters

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was seen at nodes that made NaN or Inf out of finite gradients."""
        return self.data.evidence

    @property
    def threads(self) -> tuple[str, ...]:
        """Names of the threads that nodes ran in."""
        return self.data.threads

    @property
    def edits(self) -> tuple[str, ...]:
        """What `inspect_autograd.edit_gradients` changed during the trace, in words."""
        return self.data.edits

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not seen, and why."""
        return self.data.notes

    @property
    def environment(self) -> Environment:
        """Versions and settings that the trace was made with."""
        return self.data.environment

    @property
    def kept(self) -> Mapping[int, KeptTensors]:
        """The gradients that `keep=` asked for, by the order of the event; not saved to files."""
        return self._kept if self._kept_source is None else self._kept_source()

    def __len__(self) -> int:
        return len(self.data.table)

    def __eq__(self, other: object) -> bool:
        """Equal data, where one NaN is equal to another; kept tensors are not compared."""
        from .codec import comparable

        if not isinstance(other, Trace):
            return False
        ours, theirs = self.data, other.data
        return ours is theirs or comparable(ours) == comparable(theirs)

    __hash__ = None  # type: ignore[assignment]

    # -- queries -------------------------------------------------------------------------------

    def node_of(self, event: Event) -> Node:
        """The node that an event is about."""
        return self.graph.nodes[event.node]

    def find(self, pattern: str) -> tuple[Event, ...]:
        """Events of the nodes whose name or parameter name matches a glob, in order.

        Args:
            pattern: As for `Graph.find`.
        """
        ids = {node.id for node in self.graph.find(pattern)}
        events = self.events
        return tuple(events[i] for i, node in enumerate(self.data.table.nodes) if node in ids)

    def of(self, node: Node | int) -> tuple[Event, ...]:
        """Every execution of one node, in order."""
        if isinstance(node, bool) or not isinstance(node, Node | int):
            raise ArgumentTypeError(
                f"node is {node!r} of type {type(node).__name__}; expected a Node or its id",
                remedy='Look nodes up with trace.graph.nodes[id] or trace.graph.find("Mul*").',
            )
        id = node.id if isinstance(node, Node) else node
        events = self.events
        return tuple(events[i] for i, other in enumerate(self.data.table.nodes) if other == id)

    def slowest(self, count: int = 10) -> tuple[Event, ...]:
        """The events that took longest, longest first.

        The time of a node that runs a backward pass of its own (a reentrant checkpoint) includes
        that of the pass.

        Args:
            count: How many at most.
        """
        from .slowest import find_slowest

        return find_slowest(self, count)

    def first_nonfinite(self) -> NonfiniteReport | None:
        """Where NaN or Inf was born; None if every gradient was finite.

        Raises:
            ArgumentError: The trace was made with `stats="meta"`, which knows no values.
        """
        from .first_nonfinite import find_first_nonfinite

        return find_first_nonfinite(self)

    def gradient_flow(
        self,
        *,
        by: str = "parameter",
        learning_rate: float | None = None,
        backward_pass: int | None = None,
    ) -> GradientFlow:
        """How large the gradients of the parameters are, and which look wrong.

        Args:
            by: `parameter` or `module`.
            learning_rate: Of the optimizer, for the update ratio
                `learning_rate · |gradient| / |parameter|`.
            backward_pass: Id of the pass; by default the last one that reached a leaf.

        Raises:
            ArgumentError: The trace was made with `stats="meta"`, which knows no values, or an
                argument is not one of those above.
        """
        from .gradient_flow import find_gradient_flow

        return find_gradient_flow(
            self, by=by, learning_rate=learning_rate, backward_pass=backward_pass
        )

    def compare(self, other: Trace, *, rtol: float = 1e-5, atol: float = 1e-8) -> Comparison:
        """The first node, in execution order, where two traces differ.

        Nodes are matched by structure, so the other trace may come from another process, another
        rank, or a file.

        Args:
            other: The other trace.
            rtol: Relative tolerance.
            atol: Absolute tolerance.
        """
        from .compare import compare_traces

        return compare_traces(self, other, rtol=rtol, atol=atol)

    # -- conversions ---------------------------------------------------------------------------

    def table(self, *, max_lines: int = 60, nodes: str | None = None) -> str:
        """An aligned text table, one line per event.

        Args:
            max_lines: Longest text; what is left out is said, and what is not finite is kept.
            nodes: Glob for the nodes to show, all of them by default.
        """
        from ..render.trace_table import render_trace_table

        return render_trace_table(self, max_lines=max_lines, nodes=nodes)

    def to_dataframe(self) -> pandas.DataFrame:
        """A `pandas.DataFrame` with one row per event and slot; needs pandas."""
        from .to_dataframe import to_dataframe

        return to_dataframe(self)

    def to_chrome_trace(self) -> dict[str, Any]:
        """The trace as JSON values in Chrome's trace event format, which Perfetto reads too.

        https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
        """
        from .to_chrome_trace import to_chrome_trace

        return to_chrome_trace(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the trace to a file; the suffix chooses what.

        `.json` is the whole trace, which `inspect_autograd.load` reads back without torch (kept
        tensors are left out). `.chrome.json` is what Perfetto (https://ui.perfetto.dev) and
        `chrome://tracing` show as a timeline.
        """
        from .file import save

        return save(self, path)

    # -- pictures ------------------------------------------------------------------------------

    def render(
        self,
        path: str | os.PathLike[str],
        *,
        view: ViewName = "auto",
        direction: Direction = "down",
        backward_pass: int | None = None,
        title: str | None = None,
        timeout: float = 30.0,
    ) -> Path:
        """Draw the graph coloured by gradient norm, with order numbers, into a file.

        Args:
            path: Where to write; the suffix chooses the format, as for `Graph.render`.
            view: As for `Graph.render`.
            direction: As for `Graph.render`.
            backward_pass: Id of the pass to show, by default the last one.
            title: A line above the picture.
            timeout: Seconds for the layout.

        Returns:
            The path, as given.
        """
        from ..render.trace_picture import render_trace

        return render_trace(
            self,
            path,
            view=view,
            direction=direction,
            backward_pass=backward_pass,
            title=title,
            timeout=timeout,
        )

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        data = self.data
        count = len(data.passes)
        passes = "1 backward pass" if count == 1 else f"{count} backward passes"
        return (
            f"<Trace of {len(data.graph)} nodes: {len(data.table)} events in {passes}, "
            f"{data.outcome.status}>"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))


def as_trace(value: object, argument: str) -> Trace:
    """The value, if it is a Trace.

    Raises:
        ArgumentTypeError: It is not.
    """
    if isinstance(value, Trace):
        return value
    raise ArgumentTypeError(
        f"{argument} is of type {type(value).__name__}; expected a Trace",
        remedy="Give what `with inspect_autograd.trace(loss) as trace:` or "
        "inspect_autograd.load(path) gave.",
    )
