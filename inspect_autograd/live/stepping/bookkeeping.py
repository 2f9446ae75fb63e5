"""Who is ready, who waits for how many gradients, and what has arrived."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.pass_plan import PassPlan
from ...graph.ready_queue import ReadyQueue
from .input_buffer import InputBuffer, Part

__all__ = ["Bookkeeping"]


class Bookkeeping:
    """The state of a pass between two nodes (`GraphTask` of torch/csrc/autograd/graph_task.h).

    Args:
        plan: The plan of the pass.
        priorities: Of each node, in the queue.
        output_slots: How many gradients each node receives.

    Attributes:
        missing: Per node, how many gradients have yet to arrive.
        queue: The nodes that are ready.
        buffers: What has arrived, by the id of the node, for all that are ready or wait.
    """

    def __init__(
        self, plan: PassPlan, priorities: Sequence[int], output_slots: Sequence[int]
    ) -> None:
        self._plan = plan
        self._priorities = priorities
        self._output_slots = output_slots
        self.missing = list(plan.missing)
        self.queue = ReadyQueue()
        self.buffers: dict[int, InputBuffer] = {}

    def start(self, node: int, part: Part) -> None:
        """Begin with the only root: it is ready, whatever leads to it."""
        buffer = self.buffers[node] = InputBuffer(self._output_slots[node])
        buffer.add(part)
        self.queue.push(self._priorities[node], node)

    def deliver(self, target: int, part: Part) -> bool:
        """Let a gradient arrive, and tell whether the node is ready now.

        A node that will not run waits as well, but nothing is kept for it.
        """
        missing = self.missing[target] - 1
        self.missing[target] = missing
        if not self._plan.is_delivered(target):
            return False
        buffer = self.buffers.get(target)
        if buffer is None:
            buffer = self.buffers[target] = InputBuffer(self._output_slots[target])
        buffer.add(part)
        if missing:
            return False
        self.queue.push(self._priorities[target], target)
        return True

    def take(self) -> InputBuffer:
        """Take the next node from the queue, and what has arrived for it."""
        return self.buffers.pop(self.queue.pop())
