"""Step: one node that was run, with the tensors it received and returned."""

from __future__ import annotations

from typing import Any

import torch

from ...events.engine_state import StepRecord
from ...graph.pass_plan import PassPlan
from ...graph.records import Node
from .describe_step import describe_step
from .engine import Executed
from .input_buffer import Part
from .stepped_graph import SteppedGraph

__all__ = ["Step"]


class Step:
    """One node that the engine took from its queue.

    Its tensors are those that went through the graph; do not write into them. `print(step)` shows
    it, `describe()` gives it as plain data.
    """

    __slots__ = ("_executed", "_graph", "_plan", "index")

    def __init__(self, index: int, executed: Executed, graph: SteppedGraph, plan: PassPlan) -> None:
        self.index = index
        self._executed = executed
        self._graph = graph
        self._plan = plan

    @property
    def id(self) -> int:
        """The id of its node in the graph."""
        return self._executed.node

    @property
    def node(self) -> Node:
        """The node, as `capture` of the same outputs describes it."""
        return self._graph.graph.nodes[self._executed.node]

    @property
    def live_node(self) -> Any:
        """The node itself (a `grad_fn`)."""
        return self._graph.live.nodes[self._executed.node]

    @property
    def ran(self) -> bool:
        """False where only what it received was wanted, as for an input of `autograd.grad`."""
        return self._executed.ran

    @property
    def received(self) -> tuple[torch.Tensor | None, ...]:
        """The gradients it received (`grad_outputs`), one per output of its forward function."""
        return tuple(self._executed.buffer.sums)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the received gradients are sums of, in the order in which the parts arrived."""
        return tuple(self._executed.buffer.parts)

    @property
    def returned(self) -> tuple[torch.Tensor | None, ...]:
        """The gradients it returned (`grad_inputs`), one per entry of its `next_functions`.

        Fitted to where they go: what was broadcast is summed, what was cast is cast back. None
        where the edge leads nowhere. Empty for a leaf.
        """
        return self._executed.returned

    @property
    def ready(self) -> tuple[Node, ...]:
        """The nodes that have got all their gradients by this step."""
        nodes = self._graph.graph.nodes
        return tuple(nodes[id] for id in self._executed.ready)

    def describe(self) -> StepRecord:
        """The step as plain data."""
        return describe_step(self._graph, self.index, self._executed, self._plan)

    def __str__(self) -> str:
        return str(self.describe())

    def __repr__(self) -> str:
        node = self.node
        return f"<Step {self.index}: #{node.id} {node.label}>"
