"""What each module of a recording cost: time, nodes, memory, and how large its gradients are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..graph.graph import Graph
from ..graph.saved_memory import find_saved_memory
from .gradient_flow import find_gradient_flow
from .gradient_flow_rows import NO_NAME
from .nested_passes import find_callers
from .pass_spans import find_spans
from .recording import RecordingData
from .timeline import ModuleSpan
from .trace import Trace, TraceData

__all__ = ["ModuleRow", "find_module_rows", "find_parents"]


NOTHING = (None, None)
"""Of a module without parameters: no norm, and nothing to be reached."""


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """What one module cost in the steps of a recording, without its submodules if not said.

    Attributes:
        path: Its module path; empty for the outermost one, None for what is outside of any.
        calls: How often it was called.
        forward_ns: Time of its calls, with the submodules that they called.
        own_forward_ns: The part of it that no submodule took.
        backward_ns: Time of its nodes in all backward passes. On an accelerator that is the time
            to launch the work, not to do it.
        nodes: Its nodes in the backward pass in which it had most.
        saved_bytes: Activations that its nodes kept, in the backward pass with most of them;
            parameters and other named tensors are not in it.
        parameters: Elements of its parameters that require grad; None where a size is unknown.
        gradient_l2: Norm of the gradients of its parameters in the last backward pass that
            reached one of them; None where none did, or where norms were not computed.
        is_reached: Whether a backward pass reached one of its parameters; None where it has none,
            or at `stats="meta"` and `"off"`.
    """

    path: str | None
    calls: int = 0
    forward_ns: int = 0
    own_forward_ns: int = 0
    backward_ns: int = 0
    nodes: int = 0
    saved_bytes: int = 0
    parameters: int | None = 0
    gradient_l2: float | None = None
    is_reached: bool | None = None

    @property
    def own_ns(self) -> int:
        """Its own time, forward and backward."""
        return self.own_forward_ns + self.backward_ns


def find_module_rows(data: RecordingData) -> tuple[ModuleRow, ...]:
    """One row for each module that was called or has nodes or parameters; the slowest first."""
    spans, traces = data.modules, [trace.data for trace in data.traces]
    calls = Counter(span.path for span in spans)
    forward, own = _forward_times(spans)
    backward: Counter[str | None] = Counter()
    nodes: Counter[str | None] = Counter()
    saved: Counter[str | None] = Counter()
    for trace in traces:
        scopes = trace.graph.node_table.scopes
        for node, duration in zip(trace.table.nodes, _own_durations(trace), strict=True):
            backward[scopes.get(node)] += duration
        nodes |= Counter(map(scopes.get, range(len(trace.graph))))
        saved |= Counter(dict(_saved_bytes(trace.graph)))
    parameters = _parameters(traces)
    gradients = _gradients(data.traces, parameters.keys())
    paths = dict.fromkeys([*calls, *nodes, *saved, *parameters])
    rows = [
        ModuleRow(
            path=path,
            calls=calls[path] if path is not None else 0,
            forward_ns=forward[path],
            own_forward_ns=own[path],
            backward_ns=backward[path],
            nodes=nodes[path],
            saved_bytes=saved[path],
            parameters=parameters.get(path, 0),
            gradient_l2=gradients.get(path, NOTHING)[0],
            is_reached=gradients.get(path, NOTHING)[1],
        )
        for path in paths
    ]
    return tuple(sorted(rows, key=lambda row: -row.own_ns))


# -- time --------------------------------------------------------------------------------------


def find_parents(spans: Sequence[ModuleSpan]) -> list[int | None]:
    """For each module call the one that it was made in, as a position in `spans`.

    Args:
        spans: In the order in which they began.
    """
    open_calls: dict[tuple[str, int], int] = {}
    parents: list[int | None] = []
    for position, span in enumerate(spans):
        parent = open_calls.get((span.thread, span.depth - 1))
        if parent is not None:
            outer = spans[parent]
            # Else the call around it belongs to a step that was dropped.
            if span.start_ns > outer.start_ns + outer.duration_ns:
                parent = None
        parents.append(parent)
        open_calls[span.thread, span.depth] = position
    return parents


def _forward_times(
    spans: Sequence[ModuleSpan],
) -> tuple[Counter[str | None], Counter[str | None]]:
    """The time of the calls of each module, and what of it no submodule took."""
    parents = find_parents(spans)
    total: Counter[str | None] = Counter()
    own: Counter[str | None] = Counter()
    for span, parent in zip(spans, parents, strict=True):
        own[span.path] += span.duration_ns
        if parent is not None:
            own[spans[parent].path] -= span.duration_ns
        around = parent
        while around is not None and spans[around].path != span.path:
            around = parents[around]
        if around is None:  # A module that called itself counts once.
            total[span.path] += span.duration_ns
    return total, own


def _own_durations(data: TraceData) -> list[int]:
    """How long each event took, without a backward pass that its node called."""
    durations = [*data.table.durations_ns]
    spans = find_spans(data)
    for inner, order in find_callers(data).items():
        if inner in spans:
            start, end = spans[inner]
            durations[order] = max(durations[order] - (end - start), 0)
    return durations


# -- memory and gradients ----------------------------------------------------------------------


def _saved_bytes(graph: Graph) -> Iterator[tuple[str | None, int]]:
    if graph.scopes == "recorded":  # Else they would be inferred, which is another matter.
        for row in find_saved_memory(graph, by="scope").rows:
            yield row.scope, row.activation_bytes


def _parameters(traces: Iterable[TraceData]) -> dict[str | None, int | None]:
    """Elements by module; a parameter of several passes, or with several names, counts once."""
    sizes = {p.names[0]: p.meta.numel for t in traces for p in t.parameters if p.names}
    sums: dict[str | None, int | None] = {}
    for name, size in sizes.items():
        module = name.rpartition(".")[0]
        before = sums.get(module, 0)
        sums[module] = None if before is None or size is None else before + size
    return sums


def _gradients(
    traces: Sequence[Trace], modules: Collection[str | None]
) -> dict[str | None, tuple[float | None, bool | None]]:
    """Norm by module, and whether a gradient arrived at all; the last one that did counts."""
    norms: dict[str | None, tuple[float | None, bool | None]] = {}
    for trace in reversed(traces):
        if trace.stats_level == "meta" or not trace.passes:
            continue
        for row in find_gradient_flow(trace, by="module").rows:
            if row.name != NO_NAME and not norms.get(row.name, NOTHING)[1]:
                norms[row.name] = row.l2, row.missing < row.parameters
        if all(norms.get(module, NOTHING)[1] for module in modules):
            break  # What older passes delivered is not asked for.
    return norms
