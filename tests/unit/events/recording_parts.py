"""Recordings put together by hand, for what the tests have to know to the last digit."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

from inspect_autograd.events.effects import Cut, Mutation
from inspect_autograd.events.recording import Recording, RecordingData, Step
from inspect_autograd.events.records import Environment
from inspect_autograd.events.timeline import ModuleSpan
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.events.trace_parts import full, nested_trace, small_graph, trace_of

__all__ = ["FORWARD", "STEP", "cut", "recording", "span", "step", "with_creations", "write"]

FORWARD = SourceLine("/project/model.py", 12, "Model.forward")
STEP = SourceLine("/project/train.py", 41, "main")
META = TensorMeta((2, 3), "float32")


def cut(**changes: Any) -> Cut:
    """`detach` in `encoder`, which costs two of three parameters their path."""
    fields: dict[str, Any] = {
        "reason": "detach",
        "function": "Tensor.detach",
        "source": FORWARD,
        "scope": "encoder",
        "count": 1,
        "meta": META,
        "parameters": ("a.bias", "a.weight", "head.weight"),
        "lost": ("a.bias", "a.weight"),
        "reaches_loss": True,
        "step": 0,
    }
    return Cut(**(fields | changes))


def write(**changes: Any) -> Mutation:
    """The optimizer writes `w`."""
    fields: dict[str, Any] = {
        "function": "torch.optim.SGD.step",
        "source": STEP,
        "scope": None,
        "tensor": "w",
        "meta": META,
        "version_before": 3,
        "version_after": 4,
        "step": 0,
        "thread": "MainThread",
        "time_ns": 9000,
        "view_of": "",
    }
    return Mutation(**(fields | changes))


def span(path: str, start_ns: int, duration_ns: int, depth: int = 0, **changes: Any) -> ModuleSpan:
    """The call of a module in step 0."""
    fields: dict[str, Any] = {
        "call": 0, "step": 0, "thread": "MainThread", "source": FORWARD,
    }  # fmt: skip
    return ModuleSpan(
        path=path, depth=depth, start_ns=start_ns, duration_ns=duration_ns, **(fields | changes)
    )


def step(index: int, *traces: int, **changes: Any) -> Step:
    """A step of 10 µs that the optimizer ended."""
    fields: dict[str, Any] = {
        "start_ns": 10_000 * index,
        "duration_ns": 10_000,
        "ended_by": "optimizer.step()",
    }
    return Step(index=index, traces=traces, **(fields | changes))


def with_creations(graph: Graph) -> Graph:
    """The graph, its product made by `block` in model.py:12, its sum outside of any module."""
    creations = {
        0: Creation("Tensor.sum", STEP, (), None, "MainThread"),
        1: Creation("Tensor.__mul__", FORWARD, (STEP,), 0, "MainThread"),
    }
    table = replace(graph.node_table, creations=creations, scopes={1: "block", 2: "", 3: "block"})
    return replace(graph, node_table=table, scopes="recorded")


def recording(**changes: Any) -> Recording:
    """Two steps after one that was dropped: a bit of everything, NaN included."""
    graph = with_creations(small_graph())
    bad = trace_of([(0, 0, 2000, 700, (full(1.0, ()),), (full(nan),))], graph=graph)
    data = RecordingData(
        traces=(plain_trace(graph), bad, nested_trace()),
        trace_starts_ns=(12_000, 15_000, 22_000),
        steps=(step(1, 0, 1), step(2, 2, ended_by="the end of the block")),
        dropped_steps=1,
        cuts=(cut(), cut(reason="Python value", meta=None, source=None, lost=(), step=2)),
        mutations=(
            write(step=1, time_ns=19_000),
            write(step=2, time_ns=29_000, tensor="", view_of="x", version_before=None),
        ),
        modules=(
            span("", 10_500, 1500, step=1),
            span("block", 11_000, 400, 1, step=1),
            span("", 20_500, 1000, step=2, source=None),
        ),
        stats_level="full",
        notes=("复杂 \ud800",),
        environment=Environment("2.13", "3.11", "Linux", {"threads": 4, "odd": nan}),
    )
    return Recording(replace(data, **changes))


def plain_trace(graph: Graph) -> Any:
    """All four nodes of the graph ran, for 500, 900, 100 and 200 ns."""
    rows: Any = [
        (0, 0, 1000, 500, (full(1.0, ()),), (full(1.5),)),
        (1, 0, 2000, 900, (full(1.5),), (full(3.0), full(4.0))),
        (2, 0, 3000, 100, (full(3.0),), ()),
        (3, 0, 3200, 200, (full(4.0),), ()),
    ]
    return trace_of(rows, graph=graph)
