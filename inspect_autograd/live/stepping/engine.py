"""The engine: take the node that is ready and was made last, run it, pass on what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from ...graph.pass_plan import PassPlan, plan_pass
from ...graph.ready_queue import priority_of
from ..node_types import describe_type, short_name
from ..private_torch import NO_SEQUENCE_NR, input_metadata
from ..walk import LiveGraph
from .bookkeeping import Bookkeeping
from .inner_passes import InnerPasses
from .input_buffer import InputBuffer, Part
from .leaf_gradient import as_leaf_gradient
from .run_node import RecomputeOnce, run_node
from .validate import fit_gradient

__all__ = ["Engine", "Executed", "Options", "Start"]


@dataclass(frozen=True, slots=True)
class Start:
    """A gradient that the pass starts with: the node of a root, its slot, and the gradient."""

    node: int
    slot: int
    gradient: torch.Tensor


@dataclass(frozen=True, slots=True)
class Options:
    """How a pass runs.

    Attributes:
        inputs: Node and slot of each input whose gradient is wanted; None for all leaves.
        accumulate: Add to the `.grad` of leaves, as `backward` does.
        create_graph: Run the nodes with gradients enabled.
    """

    inputs: tuple[tuple[int, int], ...] | None = None
    accumulate: bool = False
    create_graph: bool = False


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of one node that was taken from the queue.

    Attributes:
        node: Its id.
        buffer: What it received.
        returned: What it returned, fitted to where it goes: one entry per slot of its
            `next_functions`. Empty for a leaf, and for a node that was not run.
        ready: The nodes that became ready by it.
        ran: False where only its received gradient was wanted (an input of `autograd.grad`).
        reached: Leaves that got a gradient by it, and the gradient: the leaf of an AccumulateGrad,
            or those of a pass that a node started itself.
    """

    node: int
    buffer: InputBuffer
    returned: tuple[torch.Tensor | None, ...]
    ready: tuple[int, ...]
    ran: bool
    reached: tuple[tuple[torch.Tensor, torch.Tensor], ...]


class Engine:
    """One pass over a graph, one node at a time.

    What it does and in which order is what torch/csrc/autograd/engine.cpp does in one thread; the
    nodes themselves are the real ones, called from Python. Saved tensors are not freed.

    Args:
        live: The graph.
        starts: What the pass starts with, at least one.
        options: How it runs.

    Attributes:
        options: How it runs.
        plan: Who waits for how many gradients, and who runs.
        book: Where the pass stands.
    """

    def __init__(self, live: LiveGraph, starts: Sequence[Start], options: Options) -> None:
        self._live = live
        self._starts = tuple(starts)
        self.options = options
        inputs = options.inputs
        self.plan: PassPlan = plan_pass(
            live.edges,
            [start.node for start in starts],
            None if inputs is None else [node for node, _ in inputs],
            accumulate=options.accumulate,
        )
        self._priorities = [
            priority_of(None if number == NO_SEQUENCE_NR else number)
            for number in live.sequence_nrs
        ]
        self._metadata = list(input_metadata(live.nodes))
        self._kinds = [describe_type(type(node)).kind for node in live.nodes]
        self._output_slots = list(map(len, self._metadata))
        self._reached: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._recompute_once = RecomputeOnce()
        self._inner_passes = InnerPasses()
        self.book = self.begin()

    def begin(self) -> Bookkeeping:
        """Where every pass over this graph stands before its first node."""
        book = Bookkeeping(self.plan, self._priorities, self._output_slots)
        if len(self._starts) == 1:
            (start,) = self._starts
            book.start(start.node, Part(start.slot, None, 0, start.gradient))
        else:
            # The engine makes a node that has the roots behind it (GraphRoot) and runs it first.
            for position, start in enumerate(self._starts):
                book.deliver(start.node, Part(start.slot, None, position, start.gradient))
        return book

    def run_next(self) -> Executed:
        """Run the node whose turn it is.

        If it raises, everything is as it was before, and the exception passes.
        """
        book = self.book
        id = book.queue.peek()
        buffer = book.buffers[id]
        runs = self.plan.runs
        ran = runs is None or id in runs
        self._reached = []
        with torch.set_grad_enabled(self.options.create_graph):
            returned: list[torch.Tensor | None] = self._run(id, buffer) if ran else []
            book.take()
            gradient = buffer.sums[0] if self._kinds[id] == "leaf" else None
            if gradient is not None:
                leaf = self._live.nodes[id].variable
                self._reached.append((leaf, as_leaf_gradient(leaf, gradient)))
            ready = self.pass_on(book, id, returned)
        return Executed(id, buffer, tuple(returned), ready, ran, tuple(self._reached))

    def pass_on(
        self, book: Bookkeeping, id: int, returned: Sequence[torch.Tensor | None]
    ) -> tuple[int, ...]:
        """Deliver what a node returned; gives the nodes that became ready."""
        if not returned:
            return ()
        edges = self._live.edges
        targets, target_slots, slots = edges.targets, edges.target_slots, edges.source_slots
        ready = []
        for place in range(edges.starts[id], edges.starts[id + 1]):
            slot = slots[place]
            part = Part(target_slots[place], id, slot, returned[slot])
            if book.deliver(targets[place], part):
                ready.append(targets[place])
        return tuple(ready)

    def _run(self, id: int, buffer: InputBuffer) -> list[torch.Tensor | None]:
        node, kind = self._live.nodes[id], self._kinds[id]
        if kind == "leaf":
            if self.options.accumulate:
                node(*buffer.sums)
            return []
        # Only code in Python can start a pass of its own.
        guarded = kind in ("custom", "compiled") and not self.options.accumulate
        inner = self._inner_passes.kept_out(self._reached) if guarded else nullcontext()
        with self._recompute_once(), inner:
            returned = run_node(node, buffer.sums)
        return self._fit(id, returned)

    def _fit(self, id: int, returned: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
        edges = self._live.edges
        targets, target_slots, slots = edges.targets, edges.target_slots, edges.source_slots
        fitted: list[torch.Tensor | None] = [None] * len(returned)
        for place in range(edges.starts[id], edges.starts[id + 1]):
            slot = slots[place]
            gradient = returned[slot]
            if gradient is None:
                continue
            expected = self._metadata[targets[place]][target_slots[place]]
            # The usual case, which is all that a long chain has.
            if (
                gradient.dtype != expected.dtype
                or gradient.is_nested
                or gradient.shape != tuple(expected.shape)
                or gradient.device != expected.device
            ):
                gradient = fit_gradient(gradient, expected, _Origin(self._live.nodes[id], slot))
            fitted[slot] = gradient
        return fitted


class _Origin:
    """Names a gradient for an error, if there is one."""

    def __init__(self, node: Any, slot: int) -> None:
        self._node, self._slot = node, slot

    def __str__(self) -> str:
        return f"gradient {self._slot} that {short_name(self._node)} returned"
