"""Keep `.grad` as it is while a node runs that starts a backward pass of its own."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
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
    custom Function. What arrives in leaves there is handed on instead.
    """

    def __init__(self) -> None:
        self._thread = 0
        self._aside: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor | None]] = {}

    @contextmanager
    def kept_out(self, reached: list[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[None]:
        """Around the call of a node: passes that start inside, in this thread, leave no trace.

        Args:
            reached: Gets each leaf tensor that they reach, and what they have made for it.
        """
        self._thread = threading.get_ident()
        self._aside = {}
        has_run = False
        watch(self)
        try:
            yield
            has_run = True
        finally:
            unwatch(self)
            self._put_back(reached if has_run else [])

    def begin(self, call: EngineCall) -> None:
        """Put the gradients of the leaves aside.

        They stay so until the node has run: a checkpoint reads the gradients of its inputs from
        the `.grad` of copies that it has made of these.
        """
        if threading.get_ident() != self._thread or call.call != "backward":
            return
        roots, _ = find_roots(list(call.outputs), TensorMetaCache())
        for node in walk_graph([root.node for root in roots]).nodes:
            leaf = getattr(node, "variable", None)
            if leaf is None:
                continue
            known = self._aside.get(id(leaf))
            if known is None or known[0]() is not leaf:
                self._aside[id(leaf)] = (weakref.ref(leaf), leaf.grad)
                leaf.grad = None

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """Nothing to do: see `begin`."""

    def _put_back(self, reached: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        for reference, before in self._aside.values():
            leaf = reference()
            if leaf is None:
                continue  # A copy that only the node knew.
            gradient, leaf.grad = leaf.grad, before
            if gradient is not None:
                reached.append((leaf, gradient))
        self._aside = {}
