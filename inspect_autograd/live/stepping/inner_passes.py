"""Keep `.grad` as it is while a node runs that starts a backward pass of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..engine_calls import EngineCall, unwatch, watch
from ..roots import find_roots
from ..tensor_meta import TensorMetaCache
from ..walk import walk_graph

__all__ = ["InnerPasses"]


class InnerPasses:
    """Takes the gradients that passes inside a node would leave in `.grad`.

    A reentrant checkpoint calls `backward` for its inner graph when its node runs, and so may any
    custom Function. What arrives in leaves there is handed to `receive` instead.

    Args:
        receive: Is given each leaf tensor and what the inner pass has made for it.
    """

    def __init__(self, receive: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
        self._receive = receive
        self._thread = 0

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Passes that start inside, in this thread, do not touch `.grad`."""
        self._thread = threading.get_ident()
        watch(self)
        try:
            yield
        finally:
            unwatch(self)

    def begin(self, call: EngineCall) -> object:
        """Put the gradients of the leaves aside."""
        if threading.get_ident() != self._thread or call.call != "backward":
            return None
        roots, _ = find_roots(list(call.outputs), TensorMetaCache())
        leaves = [
            node.variable
            for node in walk_graph([root.node for root in roots]).nodes
            if hasattr(node, "variable")
        ]
        aside = [(leaf, leaf.grad) for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return aside

    def end(self, token: Any, error: BaseException | None, results: Sequence[Any]) -> None:
        """Take what has arrived, and put back what was there."""
        del results
        for leaf, before in token or ():
            gradient = leaf.grad
            leaf.grad = before
            if gradient is not None and error is None:
                self._receive(leaf, gradient)
