"""Turn what happened in a pass into plain records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from ...events.engine_state import (
    Delivery,
    EngineState,
    GradientPart,
    GradientView,
    NodeStatus,
    Status,
    StepRecord,
    WaitingNode,
)
from ...graph.pass_plan import PassPlan
from ..memory import find_memory
from ..private_torch import unobserved
from ..tensor_meta import TensorMetaCache
from ..tracing.gradient_stats import GradientStats
from .bookkeeping import Bookkeeping
from .engine import Executed
from .input_buffer import Part
from .stepped_graph import SteppedGraph

__all__ = ["describe_state", "describe_status", "describe_step"]

SHOWN_VALUES = 8


def describe_step(
    graph: SteppedGraph, index: int, executed: Executed, plan: PassPlan
) -> StepRecord:
    """One step."""
    describe = _Describer()
    edges = graph.live.edges
    id = executed.node
    places = {
        edges.source_slots[place]: place for place in range(edges.starts[id], edges.starts[id + 1])
    }
    returned = []
    for slot, gradient in enumerate(executed.returned):
        place = places.get(slot)
        target = None if place is None else edges.targets[place]
        target_slot = 0 if place is None else edges.target_slots[place]
        kept = target is not None and plan.is_delivered(target)
        returned.append(Delivery(slot, target, target_slot, describe.view(gradient), kept))
    return StepRecord(
        index=index,
        node=id,
        ran=executed.ran,
        received=tuple(map(describe.view, executed.buffer.sums)),
        parts=describe.parts(executed.buffer.parts),
        returned=tuple(returned),
        ready=executed.ready,
        graph=graph.graph,
    )


def describe_state(
    graph: SteppedGraph, book: Bookkeeping, taken: Sequence[Executed], plan: PassPlan
) -> EngineState:
    """Where a pass stands.

    Args:
        graph: What it runs over.
        book: Who waits and who is ready.
        taken: The steps taken.
        plan: Its plan.
    """
    queue = book.queue.in_order()
    ready = set(queue)
    sources = _Sources(graph, taken, plan)
    waiting = tuple(
        WaitingNode(id, len(buffer.parts), book.missing[id], sources.missing_from(id))
        for id, buffer in sorted(book.buffers.items())
        if id not in ready
    )
    held = [
        gradient
        for buffer in book.buffers.values()
        for gradient in buffer.sums
        if gradient is not None
    ]
    return EngineState(
        position=len(taken),
        queue=queue,
        waiting=waiting,
        buffers=len(held),
        buffer_bytes=_bytes_of(held),
        leaves=tuple(done.node for done in taken if graph.leaf(done.node) is not None),
        graph=graph.graph,
    )


def describe_status(
    graph: SteppedGraph, id: int, book: Bookkeeping, taken: Sequence[Executed], plan: PassPlan
) -> NodeStatus:
    """What is the matter with one node; for the other arguments see `describe_state`."""
    describe = _Describer()
    step = next((index for index, done in enumerate(taken) if done.node == id), None)
    buffer = book.buffers.get(id) if step is None else taken[step].buffer
    status: Status
    if step is not None:
        status = "executed"
    elif not plan.is_delivered(id):
        status = "pruned"
    elif buffer is None:
        status = "not reached"
    else:
        status = "ready" if id in book.queue.in_order() else "waiting"
    waits = status in ("waiting", "not reached")
    return NodeStatus(
        node=id,
        status=status,
        step=step,
        received=() if buffer is None else tuple(map(describe.view, buffer.sums)),
        parts=() if buffer is None else describe.parts(buffer.parts),
        missing=book.missing[id] if waits else 0,
        missing_from=_Sources(graph, taken, plan).missing_from(id) if waits else (),
        graph=graph.graph,
    )


class _Sources:
    """Which nodes a node still waits for."""

    def __init__(self, graph: SteppedGraph, taken: Sequence[Executed], plan: PassPlan) -> None:
        self._sources = graph.live.edges.sources
        self._starts, self._positions = graph.edges_by_target
        self._done = {done.node for done in taken}
        self._plan = plan

    def missing_from(self, id: int) -> tuple[int, ...]:
        starts, runs = self._starts, self._plan.runs
        sources = {self._sources[place] for place in self._positions[starts[id] : starts[id + 1]]}
        return tuple(
            source
            for source in sorted(sources)
            if source not in self._done and (runs is None or source in runs)
        )


class _Describer:
    """Describes gradients; one that appears in several places is measured once."""

    def __init__(self) -> None:
        self._stats = GradientStats("basic", TensorMetaCache())

    def view(self, gradient: torch.Tensor | None) -> GradientView | None:
        if gradient is None:
            return None
        position = self._stats.note(gradient)
        self._stats.fetch()
        values, is_whole = _first_values(gradient)
        return GradientView(self._stats.stats[position], values, is_whole)

    def parts(self, parts: Iterable[Part]) -> tuple[GradientPart, ...]:
        return tuple(
            GradientPart(part.slot, part.source, part.source_slot, self.view(part.gradient))
            for part in parts
        )


def _first_values(gradient: torch.Tensor) -> tuple[tuple[float | complex, ...], bool]:
    """The first elements, as far as they can be read without changing anything."""
    try:
        with unobserved(), torch.no_grad():
            dense = gradient.detach()
            if dense.layout is not torch.strided:
                dense = dense.to_dense()
            count = dense.numel()
            while dense.dim() > 1 and dense[0].numel() >= SHOWN_VALUES:
                dense = dense[0]  # Flattening may copy, so only what is needed is flattened.
            values = dense.reshape(-1)[:SHOWN_VALUES].cpu().tolist()
    except (RuntimeError, NotImplementedError, TypeError):
        return (), False
    return tuple(values), count <= SHOWN_VALUES


def _bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    storages: dict[int, int] = {}
    for tensor in tensors:
        _, storage, storage_bytes = find_memory(tensor)
        if storage is not None:
            storages[storage] = storage_bytes
    return sum(storages.values())
