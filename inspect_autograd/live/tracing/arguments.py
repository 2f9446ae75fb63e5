"""The arguments of trace, checked before anything is hooked."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, get_args

from ...errors import ArgumentError, ArgumentTypeError
from ...events.records import StatsLevel
from ...graph.graph import Graph
from ...graph.records import Node

__all__ = ["Keep", "check_keep", "check_stats"]


def check_stats(stats: Any) -> None:
    """Refuse what is not a level of statistics."""
    levels = get_args(StatsLevel)
    if stats not in levels:
        raise ArgumentError(
            f"stats is {stats!r}; expected one of {', '.join(map(repr, levels))}",
            remedy="'meta' costs least and notes shapes only, 'basic' adds norm, min and max, "
            "'full' adds mean and counts of zeros, NaN and Inf.",
        )


class Keep:
    """Which nodes' gradients are to be kept.

    Args:
        choice: A glob, a function of a Node, or None for no node.
    """

    def __init__(self, choice: str | Callable[[Node], bool] | None) -> None:
        self._choice = choice
        self._seen = 0

    def check(self, graph: Callable[[], Graph]) -> None:
        """Refuse a glob that matches no node of the graph."""
        if not isinstance(self._choice, str) or graph().find(self._choice):
            return
        names = sorted({*graph().node_table.names, *graph().parameters()})
        close = get_close_matches(self._choice.strip("*"), names, n=3, cutoff=0.4) or names[:3]
        raise ArgumentError(
            f"keep is {self._choice!r}, which matches no node of this graph",
            remedy=f"Give a glob for names such as {', '.join(map(repr, close))}; "
            "graph.tree() of the captured graph shows all of them.",
        )

    def new_ids(self, graph: Callable[[], Graph]) -> set[int]:
        """The chosen ones among the nodes that were added since the last call."""
        if self._choice is None:
            return set()
        choice, first = self._choice, self._seen
        nodes = graph().nodes
        self._seen = len(nodes)
        if isinstance(choice, str):
            return {node.id for node in graph().find(choice) if node.id >= first}
        return {id for id in range(first, len(nodes)) if choice(nodes[id])}


def check_keep(keep: Any) -> Keep:
    """Refuse what can choose no nodes."""
    if keep is None or isinstance(keep, str) or callable(keep):
        return Keep(keep)
    raise ArgumentTypeError(
        f"keep is {keep!r} of type {type(keep).__name__}; expected a glob string, or a function "
        "that is given a Node and answers True or False",
        remedy='For example keep="Softmax*" or keep=lambda node: node.kind == "leaf".',
    )
