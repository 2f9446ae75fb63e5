"""Traces made by hand: what no single real backward pass gives, with numbers that are known."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inspect_autograd.events.records import (
    BackwardPass,
    Outcome,
    PassInput,
    TensorStats,
    TracedParameter,
)
from inspect_autograd.events.table import NO_GRADIENT, EventTable
from inspect_autograd.events.trace import Trace, TraceData
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.tensor_meta import TensorMeta

Gradients = Sequence[TensorStats | None]
EventRow = tuple[int, int, Gradients, Gradients]
"""Node, pass, received, returned."""


def stats(l2: float, shape: tuple[int, ...] = (4,), **fields: Any) -> TensorStats:
    """A gradient of which the norm and one number for smallest, largest and mean are known."""
    dtype = fields.pop("dtype", "float32")
    known = {"min": -abs(l2), "max": abs(l2)} | fields
    return TensorStats(TensorMeta(shape, dtype), l2, **known)


def make_pass(id: int = 0, **fields: Any) -> BackwardPass:
    """A completed `backward` pass of its own."""
    known: dict[str, Any] = {
        "call": "backward",
        "file": "/project/train.py",
        "line": 41,
        "function": "step",
        "roots": (),
        "inputs": None,
        "retain_graph": False,
        "create_graph": False,
        "graph_task": id,
        "thread": 0,
        "parent": None,
        "outcome": Outcome("completed"),
    }
    return BackwardPass(id=id, **(known | fields))


def make_trace(
    graph: Graph,
    events: Sequence[EventRow],
    *,
    passes: Sequence[BackwardPass] | None = None,
    norms: Mapping[str, float] | None = None,
    unreached: Sequence[TracedParameter] = (),
    **fields: Any,
) -> Trace:
    """A trace of these events.

    Args:
        graph: The graph; its leaves are the parameters.
        events: What ran, in order.
        passes: The passes; one completed pass by default.
        norms: Of the parameters' values, by name.
        unreached: Further parameters.
        fields: Of `TraceData`.
    """
    table_stats: list[TensorStats] = []

    def note(gradient: TensorStats | None) -> int:
        if gradient is None:
            return NO_GRADIENT
        table_stats.append(gradient)
        return len(table_stats) - 1

    received = [tuple(map(note, row[2])) for row in events]
    returned = [tuple(map(note, row[3])) for row in events]
    zeros = array("q", bytes(8 * len(events)))
    table = EventTable(
        nodes=array("q", [row[0] for row in events]),
        passes=array("q", [row[1] for row in events]),
        threads=zeros,
        starts_ns=zeros,
        durations_ns=zeros,
        received=received,
        returned=returned,
        stats=table_stats,
    )
    leaves = tuple(
        TracedParameter(leaf.names, leaf.meta, id, (norms or {}).get(leaf.name or ""))
        for id, leaf in sorted(graph.node_table.parameters.items())
    )
    data = TraceData(
        graph=graph,
        table=table,
        stats_level="full",
        outcome=Outcome("completed"),
        passes=tuple([make_pass()] if passes is None else passes),
        parameters=(*leaves, *unreached),
    )
    return Trace(replace(data, **fields))


def given(node: int | None, name: str, gradient: TensorStats | None = None) -> PassInput:
    """One of the `inputs=` of a pass."""
    return PassInput(node, 0, (name,) if name else (), gradient)
