"""Put the hooks of a trace on nodes, and take them off again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...graph.graph import Graph
from ..garbage_collector import collector_paused
from ..private_torch import LiveNode
from .arguments import Keep
from .recorder import Recorder

__all__ = ["Hooks", "remove_all"]


class Hooks:
    """The hooks of one trace.

    Attributes:
        handles: What removes them. The list itself is never replaced.
    """

    def __init__(self, recorder: Recorder, keep: Keep) -> None:
        self.handles: list[Any] = []
        self._recorder = recorder
        self._keep = keep

    def put(self, nodes: Iterable[tuple[int, LiveNode]], graph: Callable[[], Graph]) -> None:
        """Hook nodes.

        Args:
            nodes: Live nodes with their ids.
            graph: Gives the graph that describes them, for who has to choose among them.
        """
        kept = self._keep.new_ids(graph)
        register, handles = self._recorder.register, self.handles
        with collector_paused():
            for id, node in nodes:
                handles += register(id, node, keep=id in kept)


def remove_all(handles: list[Any]) -> None:
    """Take all hooks off; those of nodes that are gone went with them."""
    while handles:
        handles.pop().remove()
