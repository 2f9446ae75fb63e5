"""Put the hooks of a trace on nodes, and take them off again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ...graph.graph import Graph
from ..garbage_collector import collector_paused
from ..private_torch import LiveNode
from .arguments import Keep
from .interrupts import finish
from .recorder import Recorder

__all__ = ["Hooks", "remove_all"]


class Hooks:
    """The hooks of one trace.

    Args:
        recorder: Holds the functions that are hooked.
        keep: Which gradients are to be kept; None to put no hooks at all.

    Attributes:
        handles: What removes them. The list itself is never replaced.
    """

    def __init__(self, recorder: Recorder, keep: Keep | None) -> None:
        self.handles: list[Any] = []
        self._recorder = recorder
        self._keep = keep

    def put(self, nodes: Iterable[tuple[int, LiveNode]], graph: Callable[[], Graph]) -> None:
        """Hook nodes.

        Args:
            nodes: Live nodes with their ids.
            graph: Gives the graph that describes them, for who has to choose among them.
        """
        if self._keep is None:
            return
        kept = self._keep.new_ids(graph)
        register, handles = self._recorder.register, self.handles
        with collector_paused():
            for id, node in nodes:
                try:
                    handles += register(id, node, keep=id in kept)
                except BaseException:
                    _take_off(node, self._recorder)
                    raise


def remove_all(handles: list[Any]) -> None:
    """Take all hooks off; those of nodes that are gone went with them."""
    finish(partial(_remove_each, handles))


def _remove_each(handles: list[Any]) -> None:
    while handles:
        handles[-1].remove()
        handles.pop()


def _take_off(node: LiveNode, recorder: Recorder) -> None:
    """Take off hooks whose handles an interrupt has lost, on its way from torch to us."""
    for register in (node.register_prehook, node.register_hook):
        handle = register(_nothing)
        # A handle knows its hook by a number, in the dict that holds all hooks of the node.
        hooks = handle.hooks_dict_ref() or {}
        for key, hook in list(hooks.items()):
            if hook is _nothing or _is_of(recorder, hook):
                hooks.pop(key, None)


def _is_of(recorder: Recorder, hook: Any) -> bool:
    held = [cell.cell_contents for cell in getattr(hook, "__closure__", None) or ()]
    return any(h is recorder.running or getattr(h, "__self__", None) is recorder for h in held)


def _nothing(*_: Any) -> None:
    """Stands in for a hook."""
