"""A stop: what a prompt shows and may change of it."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import ArgumentError
from ...graph.creation import SourceLine
from ...graph.records import Node
from ..holders.line_of_node import find_creation
from ..private_torch import LiveNode, unobserved
from .pause import Gradients, Pause
from .watched_graph import WatchedGraph

__all__ = ["Stop"]


class Stop:
    """A place where a pass stands still. It holds gradients, and lives no longer than that.

    Attributes:
        pause: The node and its gradients, as they are by now.
        reason: Why it stands still.
        watched: The graph.
        place: The user's line that started the pass; None if it is not known.
        is_changed: Whether a gradient was replaced.
        is_evaluating: Whether an expression of the user's is being evaluated.
    """

    def __init__(
        self, pause: Pause, reason: str, watched: WatchedGraph, place: SourceLine | None
    ) -> None:
        self.pause = pause
        self.reason = reason
        self.watched = watched
        self.place = place
        self.is_changed = self.is_evaluating = False

    @property
    def replacement(self) -> Gradients | None:
        """What the hook returns: the gradients if one was replaced."""
        return self.pause.gradients if self.is_changed else None

    def find_live(self, node: Node) -> LiveNode | None:
        """The live node of a record; None where it is not to be had."""
        with unobserved():
            return self.watched.find_live(node.id, self.pause.node.id)

    def describe(self, node: Node) -> tuple[SourceLine | None, str]:
        """The line that made a node, and why that is not known."""
        creation = node.creation
        if creation is None or creation.source is None:
            live = self.find_live(node)
            found = None if live is None else find_creation(live, None)
            creation = creation if found is None else found
        if creation is None:
            return None, "not recorded; `with ia.record(model) as recording:` around it would tell"
        return creation.source, creation.reason

    def replace(self, slot: int, value: Any) -> None:
        """Put another gradient in the place of one.

        Args:
            slot: Its index.
            value: A tensor like it, or a number that fills one.

        Raises:
            ArgumentError: It does not fit, or there is no gradient in that place.
        """
        gradients = list(self.pause.gradients)
        what = "returned" if self.pause.when == "after" else "received"
        if not 0 <= slot < len(gradients):
            last = f"0 to {len(gradients) - 1}" if gradients else "none"
            raise ArgumentError(f"slot is {slot}; the node {what} slots {last}")
        old = gradients[slot]
        if old is None:
            raise ArgumentError(f"slot {slot} holds None: no gradient was {what} there")
        gradients[slot] = _fit(value, old)
        pause, self.is_changed = self.pause, True
        received, returned = pause.received, pause.returned
        if returned is None:
            received = tuple(gradients)
        else:
            returned = tuple(gradients)
        self.pause = Pause(pause.node, received, returned, pause.pass_number)


def _fit(value: Any, old: torch.Tensor) -> torch.Tensor:
    if isinstance(value, bool | int | float):
        return torch.full_like(old, value)
    if not isinstance(value, torch.Tensor):
        raise ArgumentError(
            f"the value is of type {type(value).__name__}; expected a tensor or a number"
        )
    for what in ("shape", "dtype", "device", "layout"):
        expected, found = getattr(old, what), getattr(value, what)
        if expected != found:
            shown = (list(found), list(expected)) if what == "shape" else (found, expected)
            raise ArgumentError(
                f"the value has {what} {shown[0]}; expected {shown[1]}",
                remedy="Give a tensor like the gradient in shape, dtype, device and layout.",
            )
    return value
