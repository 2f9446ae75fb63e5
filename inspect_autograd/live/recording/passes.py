"""The backward passes of a recording: each outermost one becomes a Trace of its own."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...errors import NoGraphError
from ...events.records import StatsLevel
from ...events.trace import Trace, TraceData
from ..engine_calls import EngineCall
from ..parameters import TensorNames
from ..tracing.tracer import Tracer
from .attribution import Attribution, attribute
from .call_chunks import CallChunk, Made, MadeNodes
from .thread_marks import find_owners

__all__ = ["PassRecorder", "RecordedPass"]

Stats = StatsLevel | Literal["off"]


@dataclass(slots=True, eq=False)
class RecordedPass:
    """An outermost pass while it runs.

    Attributes:
        tracer: Traces it.
        token: What the tracer's watch returned for it.
        trace: What comes of it.
        source: Makes its data.
        creates_graph: Whether the pass itself is recorded.
    """

    tracer: Tracer
    token: object
    trace: Trace
    source: _TraceSource
    creates_graph: bool


class PassRecorder:
    """Makes a Trace for each outermost pass.

    Args:
        stats: Level of statistics; `off` to put no hooks.
        saved: Whether to describe saved tensors.
    """

    def __init__(self, *, stats: Stats, saved: bool) -> None:
        self._stats: Stats = stats
        self._saved = saved
        self.notes: dict[str, int] = {}

    def begin(
        self, call: EngineCall, names: TensorNames, attribution: Attribution
    ) -> RecordedPass | None:
        """A pass is about to start.

        Returns:
            None if it has no graph to run over, which the engine itself will say.
        """
        hooked = self._stats != "off" or call.create_graph
        try:
            tracer = Tracer(
                call.outputs[0] if len(call.outputs) == 1 else list(call.outputs),
                params=names,
                stats="meta" if self._stats == "off" else self._stats,
                keep=None,
                log=None,
                saved=self._saved,
                hooked=hooked,
            )
        except NoGraphError:
            return None
        tracer.open()
        source = _TraceSource(tracer, attribution)
        trace = Trace(source=source)
        source.trace = weakref.ref(trace)
        try:
            token = tracer.watch.begin(call)
        except BaseException:
            tracer.close(None)
            raise
        return RecordedPass(tracer, token, trace, source, call.create_graph)

    def end(
        self,
        recorded: RecordedPass,
        error: BaseException | None,
        results: Sequence[Any],
        chunk: CallChunk | None,
    ) -> None:
        """It is over."""
        tracer = recorded.tracer
        try:
            tracer.watch.end(recorded.token, error, results)
            recorded.source.find_threads()
        finally:
            tracer.close(error)
        if recorded.creates_graph and chunk is not None:
            self._note_made(recorded, chunk)

    def _note_made(self, recorded: RecordedPass, chunk: CallChunk) -> None:
        trace, recorder = recorded.trace, recorded.tracer.recorder
        first = recorded.tracer.watch.first_numbers.get(0, 0)
        for made in recorder.made.values():
            chunk.made.append(MadeNodes(first, made, _Finder(trace)))


class _Finder:
    """Tells what is known of a node of a trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __call__(self, id: int) -> Made:
        node = self._trace.graph.nodes[id]
        return Made(node.label, node.creation, node.scope)


class _TraceSource:
    """Turns what was noted of a pass into plain data, when somebody asks first.

    In a training loop most traces are never looked at.
    """

    def __init__(self, tracer: Tracer, attribution: Attribution) -> None:
        self._tracer = tracer
        self._attribution = attribution
        self.trace: weakref.ref[Trace] | None = None
        self._owners: dict[int, int] = {}

    def find_threads(self) -> None:
        """Find out which threads made the nodes, as long as these are there."""
        if self._attribution.is_threaded:
            ids, is_ambiguous = self._tracer.live_nodes, self._attribution.is_ambiguous
            self._owners = find_owners(ids, is_ambiguous)

    def __call__(self) -> TraceData:
        data = self._tracer.assemble()
        graph = data.graph
        table = attribute(graph.node_table, self._attribution, self._owners)
        data = replace(data, graph=replace(graph, node_table=table, scopes="recorded"))
        trace = None if self.trace is None else self.trace()
        if trace is not None and data.outcome.status != "running":
            trace.close(data, {})
        return data
