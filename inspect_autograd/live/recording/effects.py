"""Cuts and writes, seen from the calls of functions."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from ...events.effects import Cut, Mutation
from ..parameters import TensorNames
from .function_kinds import Kind

if TYPE_CHECKING:
    from .thread_watch import ThreadWatch

__all__ = ["Effects"]


class Effects:
    """Notes cuts and writes of one recording, in all its threads."""

    def __init__(self, *, begin_ns: int) -> None:
        self._begin_ns = begin_ns

    def prepare(self, kind: Kind, function: Any, args: Any, kwargs: Any) -> Any:
        """A function that may write is about to be called; what is returned comes back."""

    def finish(
        self,
        watch: ThreadWatch,
        kind: Kind,
        function: Any,
        args: Any,
        kwargs: Any,
        result: Any,
        token: Any,
        frame: FrameType,
    ) -> None:
        """A function was called that is not `Kind.PLAIN`."""

    def enter_function(self, watch: ThreadWatch, cls: Any, args: Any) -> Any:
        """A custom Function is about to run."""

    def leave_function(
        self, watch: ThreadWatch, token: Any, cls: Any, args: Any, result: Any, frame: FrameType
    ) -> None:
        """It is over; `result` is None where it raised."""

    def begin_optimizer(self, watch: ThreadWatch, optimizer: Any) -> Any:
        """An optimizer of torch is about to step."""

    def end_optimizer(
        self, watch: ThreadWatch, token: Any, optimizer: Any, frame: FrameType
    ) -> None:
        """It has."""

    def begin_pass(self, outputs: Sequence[Any]) -> None:
        """A backward pass is about to start from these tensors or GradientEdges."""

    def start_step(self, step: int, oldest: int) -> None:
        """A step begins; what happened before the step `oldest` is no longer wanted."""

    def mutations(self, names: TensorNames) -> tuple[Mutation, ...]:
        """All writes, in order."""
        return ()

    def cuts(self, names: TensorNames) -> tuple[Cut, ...]:
        """All cuts; those that cost a parameter its path come first."""
        return ()
