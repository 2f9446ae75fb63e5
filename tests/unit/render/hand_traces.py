"""Traces made by hand, event by event."""

from array import array
from collections.abc import Sequence
from math import isinf, isnan
from typing import Any

from inspect_autograd.events.records import BackwardPass, Outcome, RootGradient, TensorStats
from inspect_autograd.events.table import NO_GRADIENT, EventTable
from inspect_autograd.events.trace import TraceData
from inspect_autograd.graph.graph import Graph
from tests.unit.render.graphs import F4

COMPLETED = Outcome("completed")
Slots = Sequence[float | None]


def stats_of(norm: float) -> TensorStats:
    """A gradient of this norm; `nan` and `inf` stand for one such element."""
    return TensorStats(F4, norm, -norm, norm, 0.0, 0, int(isnan(norm)), int(isinf(norm)))


def make_pass(id: int = 0, **fields: Any) -> BackwardPass:
    values: dict[str, Any] = {
        "id": id,
        "call": "backward",
        "file": "train.py",
        "line": 41,
        "function": "step",
        "roots": (RootGradient(0, 0, True, stats_of(1.0)),),
        "inputs": None,
        "retain_graph": False,
        "create_graph": False,
        "graph_task": id,
        "thread": 0,
        "parent": None,
        "outcome": COMPLETED,
    }
    return BackwardPass(**(values | fields))


def make_data(
    graph: Graph,
    events: Sequence[tuple[int, Slots, Slots]],
    *,
    passes: Sequence[BackwardPass] = (),
    pass_of: Sequence[int] | None = None,
    **fields: Any,
) -> TraceData:
    """A trace of these events: node, norms received, norms returned; None for no gradient."""
    stats: list[TensorStats] = []

    def note(slots: Slots) -> tuple[int, ...]:
        positions = []
        for norm in slots:
            positions.append(NO_GRADIENT if norm is None else len(stats))
            stats.extend([] if norm is None else [stats_of(norm)])
        return tuple(positions)

    rows = [(note(received), note(returned)) for _, received, returned in events]
    count = len(events)
    table = EventTable(
        nodes=array("q", [event[0] for event in events]),
        passes=array("q", pass_of or [0] * count),
        threads=array("q", [0] * count),
        starts_ns=array("q", range(count)),
        durations_ns=array("q", [1500] * count),
        received=[row[0] for row in rows],
        returned=[row[1] for row in rows],
        stats=stats,
    )
    passes = tuple(passes) or (make_pass(),)
    return TraceData(graph, table, "full", COMPLETED, passes, threads=("MainThread",), **fields)
