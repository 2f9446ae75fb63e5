"""Traces made by hand, event by event."""

from collections.abc import Sequence
from math import isinf, isnan
from typing import Any

from inspect_autograd.events.records import BackwardPass, Outcome, RootGradient, TensorStats
from inspect_autograd.events.trace import TraceData
from inspect_autograd.graph.graph import Graph
from tests.unit.hand_traces import make_pass as plain_pass
from tests.unit.hand_traces import make_table
from tests.unit.render.graphs import F4

COMPLETED = Outcome("completed")
Slots = Sequence[float | None]


def stats_of(norm: float) -> TensorStats:
    """A gradient of this norm; `nan` and `inf` stand for one such element."""
    return TensorStats(F4, norm, -norm, norm, 0.0, 0, int(isnan(norm)), int(isinf(norm)))


def make_pass(id: int = 0, **fields: Any) -> BackwardPass:
    """A completed pass that PyTorch gave its own 1."""
    return plain_pass(id, **({"roots": (RootGradient(0, 0, True, stats_of(1.0)),)} | fields))


def make_data(
    graph: Graph,
    events: Sequence[tuple[int, Slots, Slots]],
    *,
    passes: Sequence[BackwardPass] = (),
    pass_of: Sequence[int] | None = None,
    **fields: Any,
) -> TraceData:
    """A trace of these events: node, norms received, norms returned; None for no gradient."""
    ids = pass_of or [0] * len(events)
    rows = [
        (node, id, _stats(received), _stats(returned))
        for (node, received, returned), id in zip(events, ids, strict=True)
    ]
    count = len(events)
    table = make_table(rows, starts_ns=range(count), durations_ns=[1500] * count)
    passes = tuple(passes) or (make_pass(),)
    return TraceData(graph, table, "full", COMPLETED, passes, threads=("MainThread",), **fields)


def _stats(slots: Slots) -> list[TensorStats | None]:
    return [None if norm is None else stats_of(norm) for norm in slots]
