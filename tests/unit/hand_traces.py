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
    """A completed `backward` pass; one of its own unless both parents are given."""
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
        "parent_pass": None,
    }
    made = BackwardPass(id=id, **(known | fields))
    assert (made.parent is None) == (made.parent_pass is None), "a node and the pass it ran in"
    return made


def make_table(rows: Sequence[EventRow], **columns: Sequence[int]) -> EventTable:
    """The columns of these events, which take no time; equal gradients have entries of their own.

    Args:
        rows: What ran, in order.
        columns: `threads`, `starts_ns` or `durations_ns`, if not 0.
    """
    table_stats: list[TensorStats] = []

    def note(gradients: Gradients) -> tuple[int, ...]:
        positions = []
        for gradient in gradients:
            positions.append(NO_GRADIENT if gradient is None else len(table_stats))
            table_stats.extend([] if gradient is None else [gradient])
        return tuple(positions)

    names = ("threads", "starts_ns", "durations_ns")
    return EventTable(
        nodes=array("q", [row[0] for row in rows]),
        passes=array("q", [row[1] for row in rows]),
        **{name: array("q", columns.get(name, [0] * len(rows))) for name in names},
        received=[note(row[2]) for row in rows],
        returned=[note(row[3]) for row in rows],
        stats=table_stats,
    )


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
    leaves = tuple(
        TracedParameter(leaf.names, leaf.meta, id, (norms or {}).get(leaf.name or ""))
        for id, leaf in sorted(graph.node_table.parameters.items())
    )
    data = TraceData(
        graph=graph,
        table=make_table(events),
        stats_level="full",
        outcome=Outcome("completed"),
        passes=tuple([make_pass()] if passes is None else passes),
        parameters=(*leaves, *unreached),
    )
    return Trace(replace(data, **fields))


def given(node: int | None, name: str, gradient: TensorStats | None = None) -> PassInput:
    """One of the `inputs=` of a pass."""
    return PassInput(node, 0, (name,) if name else (), gradient)
