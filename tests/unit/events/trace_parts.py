"""Traces put together by hand, for what the tests have to know to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isinf, isnan
from typing import Any

import torch

import inspect_autograd as ia
from inspect_autograd.events.records import (
    BackwardPass,
    Outcome,
    PassInput,
    RootGradient,
    TensorStats,
)
from inspect_autograd.events.trace import Trace, TraceData
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.hand_traces import make_pass, make_table

__all__ = ["backward_pass", "full", "nested_trace", "small_graph", "trace_of"]

Slots = tuple[TensorStats | None, ...]
Row = tuple[int, int, int, int, Slots, Slots]
"""Node, pass, start and duration in nanoseconds, received, returned."""


def full(l2: float, shape: tuple[int, ...] = (2,)) -> TensorStats:
    """What is known of a gradient of equal elements with this norm."""
    meta = TensorMeta(shape, "float32", "cpu", "strided")
    nans, infs = int(isnan(l2)), int(isinf(l2))
    return TensorStats(meta, l2, l2, l2, l2, int(l2 == 0), nans, infs)


@cache
def small_graph() -> ia.Graph:
    """`SumBackward0` (0), `MulBackward0` (1), and the leaves `w` (2) and `x` (3).

    Always the same graph, since another capture would have other sequence numbers.
    """
    w, x = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    graph = ia.capture((w * x).sum(), params={"w": w, "x": x})
    assert [node.label for node in graph.nodes] == ["SumBackward0", "MulBackward0", "w", "x"]
    return graph


def backward_pass(id: int = 0, **changes: Any) -> BackwardPass:
    """`loss.backward()` in line 41 of train.py, in `step`."""
    return make_pass(id, **({"roots": (RootGradient(0, 0, True, full(1.0, ())),)} | changes))


def trace_of(
    rows: Sequence[Row],
    passes: Sequence[BackwardPass] = (),
    graph: ia.Graph | None = None,
    *,
    event_threads: Sequence[int] | None = None,
    **parts: Any,
) -> Trace:
    """A trace of these events; equal gradients have entries of their own."""
    table = make_table(
        [(row[0], row[1], row[4], row[5]) for row in rows],
        threads=event_threads or [0] * len(rows),
        starts_ns=[row[2] for row in rows],
        durations_ns=[row[3] for row in rows],
    )
    defaults: dict[str, Any] = {
        "stats_level": "full",
        "outcome": Outcome("completed"),
        "threads": ("MainThread",),
    }
    return Trace(
        TraceData(
            graph=graph or small_graph(),
            table=table,
            passes=tuple(passes or (backward_pass(),)),
            **(defaults | parts),
        )
    )


def nested_trace() -> Trace:
    """`MulBackward0` (1) of pass 0 calls pass 1, which is `autograd.grad` for `w`."""
    inner = backward_pass(
        1,
        call="grad",
        file="checkpoint.py",
        line=7,
        parent=1,
        parent_pass=0,
        roots=(RootGradient(0, 0, False, full(2.0)),),
        inputs=(PassInput(2, 0, ("w",), full(3.0)), PassInput(None, 0, (), None)),
    )
    rows: list[Row] = [
        (0, 0, 1000, 500, (full(1.0, ()),), (full(1.5),)),
        (0, 1, 2100, 300, (full(2.0),), (full(2.5),)),
        (1, 0, 2000, 900, (full(1.5),), (full(3.5), None)),
        (2, 0, 3000, 100, (full(3.5),), ()),
    ]
    return trace_of(rows, (backward_pass(), inner))
