"""See the steps of optimizers: where a training step ends, and what is written meanwhile."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Protocol

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from .patches import watchers_here
from .thread_watch import ThreadWatch

__all__ = ["StepListener", "unwatch_optimizers", "watch_optimizers"]


class StepListener(Protocol):
    """A recording."""

    def optimizer_stepped(self) -> None:
        """An optimizer has done a step in a recorded thread."""


_lock = threading.Lock()
_listeners: weakref.WeakSet[Any] = weakref.WeakSet()
_handles: list[Any] = []


def watch_optimizers(listener: StepListener) -> None:
    """Tell it of every step of an optimizer, until `unwatch_optimizers`."""
    with _lock:
        _listeners.add(listener)
        if not _handles:
            _handles.append(register_optimizer_step_pre_hook(_before))
            _handles.append(register_optimizer_step_post_hook(_after))


def unwatch_optimizers(listener: StepListener) -> None:
    """Stop telling it; with the last one the hooks go."""
    with _lock:
        _listeners.discard(listener)
        if not _listeners:
            while _handles:
                _handles.pop().remove()


def _before(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    # `args` begins with the optimizer. A closure runs forward and backward passes, which have to be
    # seen.
    has_closure = len(args) > 1 or kwargs.get("closure") is not None
    for watcher in watchers_here():
        if isinstance(watcher, ThreadWatch):
            try:
                watcher.begin_optimizer(optimizer, has_closure=has_closure)
            except Exception as error:  # The user's step must not fail for our sake.
                watcher.fail(error)


def _after(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for watcher in reversed(watchers_here()):
        if isinstance(watcher, ThreadWatch):
            is_over = True
            try:
                is_over = watcher.end_optimizer(optimizer)
            except Exception as error:
                watcher.fail(error)
            if is_over and watcher.host in _listeners:
                watcher.host.optimizer_stepped()
