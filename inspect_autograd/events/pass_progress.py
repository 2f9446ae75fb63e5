"""How far a pass has come that is run one node at a time, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..graph.execution_order import ExecutionOrder
from ..graph.graph import Graph
from .engine_state import EngineState, Status, WaitingNode

__all__ = ["PassProgress"]


@dataclass(frozen=True)
class PassProgress:
    """Where a pass stands, what lies behind it and what lies before it.

    Attributes:
        state: The engine between two nodes.
        done: Of each node that was taken from the queue, the index of its step.
        order: Which nodes the pass runs, as foretold by `execution_order`.
    """

    state: EngineState
    done: Mapping[int, int]
    order: ExecutionOrder

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.state.graph

    @cached_property
    def total(self) -> int:
        """How many steps the whole pass has."""
        return len(self.order.nodes) + len(self.only_captured)

    @cached_property
    def only_captured(self) -> tuple[int, ...]:
        """Ids of wanted inputs that do not run themselves."""
        runs = set(self.order.nodes) if self.order.captured else frozenset()
        return tuple(id for id in self.order.captured if id not in runs)

    @cached_property
    def coming(self) -> tuple[int, ...]:
        """Ids of the nodes that are still to run, in that order."""
        return tuple(id for id in self.order.nodes if id not in self.done)

    @cached_property
    def waiting(self) -> Mapping[int, WaitingNode]:
        """The nodes that have got some of their gradients, by id."""
        return {waiting.node: waiting for waiting in self.state.waiting}

    @cached_property
    def _ready(self) -> frozenset[int]:
        return frozenset(self.state.queue)

    @cached_property
    def _pruned(self) -> frozenset[int]:
        return frozenset(self.order.pruned)

    def status_of(self, id: int) -> Status:
        """What is the matter with a node."""
        if id in self.done:
            return "executed"
        if id in self._pruned:
            return "pruned"
        if id in self._ready:
            return "ready"
        return "waiting" if id in self.waiting else "not reached"
