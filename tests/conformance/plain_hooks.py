"""A trace made in the plainest way: one hook per node, every number with an `.item()` of its own.

It is slow and shares no code with `inspect_autograd.trace` but the records, so it serves as a
second opinion, and as a source of traces for the tests of what is asked of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import torch

import inspect_autograd as ia
from inspect_autograd.events.records import (
    BackwardPass,
    Outcome,
    RootGradient,
    TensorStats,
    TracedParameter,
)
from inspect_autograd.events.table import NO_GRADIENT, EventTable
from inspect_autograd.events.trace import Trace, TraceData
from inspect_autograd.graph.tensor_meta import TensorMeta

__all__ = ["naive_stats", "record_by_plain_hooks", "walk"]


def walk(root: Any) -> list[Any]:
    """Live nodes in the order in which `capture` numbers them: breadth first, slots in order."""
    nodes = [root]
    seen = {root}
    for node in nodes:
        for next_node, _ in node.next_functions:
            if next_node is not None and next_node not in seen:
                seen.add(next_node)
                nodes.append(next_node)
    return nodes


def naive_stats(gradient: torch.Tensor) -> TensorStats:
    """All numbers about a strided gradient, computed one by one in double precision."""
    gradient = gradient.detach()
    meta = TensorMeta(
        tuple(gradient.shape),
        str(gradient.dtype).removeprefix("torch."),
        str(gradient.device),
        "strided",
    )
    parts = torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient
    parts = parts.double().flatten()
    empty = parts.numel() == 0
    zero = (gradient == 0).sum().item()
    return TensorStats(
        meta,
        l2=parts.square().sum().sqrt().item(),
        min=None if empty else parts.min().item(),
        max=None if empty else parts.max().item(),
        mean=None if empty or gradient.is_complex() else parts.mean().item(),
        zero_count=int(zero),
        nan_count=int(gradient.isnan().sum().item()),
        inf_count=int(gradient.isinf().sum().item()),
        note="the tensor is empty" if empty else "",
    )


def record_by_plain_hooks(
    loss: torch.Tensor,
    params: Any = None,
    run: Callable[[], object] | None = None,
) -> Trace:
    """Run one backward pass (`loss.backward()` by default) and note what every node sees."""
    graph = ia.capture(loss, params=params)
    stats: list[TensorStats] = []
    events: list[tuple[int, int, int, tuple[int, ...], tuple[int, ...]]] = []
    begin = perf_counter_ns()
    started: dict[int, int] = {}

    def note(gradient: torch.Tensor | None) -> int:
        if gradient is None:
            return NO_GRADIENT
        stats.append(naive_stats(gradient))
        return len(stats) - 1

    def before(id: int, _: Any) -> None:
        started[id] = perf_counter_ns()

    def after(id: int, returned: Any, received: Any) -> None:
        end = perf_counter_ns()
        row = (tuple(map(note, received)), tuple(map(note, returned)))
        events.append((id, started[id] - begin, end - started[id], *row))

    handles = []
    for id, node in enumerate(walk(loss.grad_fn)):
        handles.append(node.register_prehook(partial(before, id)))
        handles.append(node.register_hook(partial(after, id)))
    outcome = Outcome("completed")
    try:
        (run or loss.backward)()
    except RuntimeError as error:
        outcome = Outcome("raised", type(error).__name__, str(error))
    finally:
        for handle in handles:
            handle.remove()
    one = TensorStats(graph.nodes[0].receives[0] or TensorMeta((), "float32"), 1.0, 1.0, 1.0)
    backward_pass = BackwardPass(
        id=0,
        call="backward",
        file=__file__,
        line=1,
        function="run",
        roots=(RootGradient(0, graph.roots[0].slot, True, one),),
        inputs=None,
        retain_graph=False,
        create_graph=False,
        graph_task=0,
        thread=0,
        parent=None,
        outcome=outcome,
    )
    count = len(events)
    table = EventTable(
        nodes=array("q", [event[0] for event in events]),
        passes=array("q", bytes(8 * count)),
        threads=array("q", bytes(8 * count)),
        starts_ns=array("q", [event[1] for event in events]),
        durations_ns=array("q", [event[2] for event in events]),
        received=[event[3] for event in events],
        returned=[event[4] for event in events],
        stats=stats,
    )
    parameters = tuple(
        TracedParameter(node.parameter.names, node.parameter.meta, node.id, _norm(params, node))
        for node in graph.leaves()
        if node.parameter is not None
    )
    return Trace(
        TraceData(
            graph=graph,
            table=table,
            stats_level="full",
            outcome=outcome,
            passes=(backward_pass,),
            parameters=parameters,
            threads=("MainThread",),
        )
    )


def _norm(params: Any, node: ia.Node) -> float | None:
    if params is None or node.parameter is None or node.parameter.name is None:
        return None
    named = dict(params.named_parameters()) if isinstance(params, torch.nn.Module) else params
    norm: float = named[node.parameter.name].detach().double().norm().item()
    return norm
