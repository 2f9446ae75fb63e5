"""Where a pass stands that is run one node at a time, as plain records.

Whatever refers to a node holds its id in `graph`. No record holds a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..graph.graph import Graph
from .records import TensorStats

__all__ = [
    "Delivery",
    "EngineState",
    "GradientPart",
    "GradientView",
    "NodeStatus",
    "StepRecord",
    "WaitingNode",
]

Status = Literal["executed", "ready", "waiting", "not reached", "pruned"]


@dataclass(frozen=True, slots=True)
class GradientView:
    """What can be shown of a gradient.

    Attributes:
        stats: Its metadata, norm, smallest and largest element.
        values: Its first elements in row-major order; empty if they cannot be read.
        is_whole: Whether these are all of them.
    """

    stats: TensorStats
    values: tuple[float | complex, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class GradientPart:
    """A gradient that arrived at a node; see `Part`.

    Attributes:
        slot: Which of the gradients that the node receives it is part of.
        source: Id of the node that returned it; None for what the pass started with.
        source_slot: Which of the gradients that the source returned it is.
        gradient: None where the source returned none.
    """

    slot: int
    source: int | None
    source_slot: int
    gradient: GradientView | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A gradient that a node returned.

    Attributes:
        slot: Index in the node's `next_functions`.
        target: Id of the node it goes to; None where the edge leads nowhere.
        target_slot: Which of the gradients that the target receives it is part of.
        gradient: None where none was returned.
        is_kept: False where the target will not run, so that the engine drops the gradient.
    """

    slot: int
    target: int | None
    target_slot: int
    gradient: GradientView | None
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One node taken from the queue.

    Attributes:
        index: 0 for the first step of the pass.
        node: Id of the node.
        ran: False where only what it received was wanted (an input of `autograd.grad`).
        received: Per output slot of its forward function.
        parts: What that is the sum of, in the order of arrival.
        returned: What it passed on.
        ready: Ids of the nodes that became ready by it.
        graph: The graph.
    """

    index: int
    node: int
    ran: bool
    received: tuple[GradientView | None, ...]
    parts: tuple[GradientPart, ...]
    returned: tuple[Delivery, ...]
    ready: tuple[int, ...]
    graph: Graph = field(repr=False, compare=False)

    def __str__(self) -> str:
        from ..render.step_text import step_text

        return step_text(self)


@dataclass(frozen=True, slots=True)
class WaitingNode:
    """A node that has got some of its gradients, but not all.

    Attributes:
        node: Its id.
        arrived: How many have arrived.
        missing: How many have not.
        missing_from: Ids of the nodes that they will come from, in the order of their ids.
    """

    node: int
    arrived: int
    missing: int
    missing_from: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What is the matter with one node.

    Attributes:
        node: Its id.
        status: `executed`; `ready`, in the queue; `waiting` for more gradients; `not reached` by
            any yet; `pruned`, so that it will not run in this pass.
        step: Index of the step that took it from the queue, if it was.
        received: What has arrived, summed, per output slot.
        parts: What that is the sum of.
        missing: How many gradients have yet to arrive.
        missing_from: Ids of the nodes that these will come from.
        graph: The graph.
    """

    node: int
    status: Status
    step: int | None
    received: tuple[GradientView | None, ...]
    parts: tuple[GradientPart, ...]
    missing: int
    missing_from: tuple[int, ...]
    graph: Graph = field(repr=False, compare=False)

    def __str__(self) -> str:
        from ..render.step_text import status_text

        return status_text(self)


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine between two nodes.

    Attributes:
        position: How many steps have been taken.
        queue: Ids of the nodes that are ready, in the order in which they would run if no other
            became ready.
        waiting: The nodes that have got some of their gradients, in the order of their ids.
        buffers: How many gradients are held for nodes of these two kinds.
        buffer_bytes: Memory of these, each storage counted once.
        leaves: Ids of the leaves that have got their gradient, in that order.
        graph: The graph.
    """

    position: int
    queue: tuple[int, ...]
    waiting: tuple[WaitingNode, ...]
    buffers: int
    buffer_bytes: int
    leaves: tuple[int, ...]
    graph: Graph = field(repr=False, compare=False)

    @property
    def next_node(self) -> int | None:
        """Id of the node that runs next; None once the pass is over."""
        return self.queue[0] if self.queue else None

    @property
    def is_over(self) -> bool:
        """Whether all nodes have run."""
        return not self.queue

    def __str__(self) -> str:
        from ..render.step_text import state_text

        return state_text(self)
