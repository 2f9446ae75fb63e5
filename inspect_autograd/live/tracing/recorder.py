"""The hooks of a trace, and the rows they write.

A hook runs once or twice for every node, so the functions that are registered are written for
speed; whatever is not needed until the end is left for later. They hold ids, numbers and this
recorder, never a node or a tensor with a graph: a node would hold itself through its own hook, in
a cycle through C++ that no garbage collector sees.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ...events.table import NO_GRADIENT
from ..nonfinite.examine import examine
from ..private_modes import functions_unobserved
from ..private_torch import (
    LiveNode,
    are_modes_active,
    current_graph_task,
    current_node,
    next_sequence_nr,
    unobserved,
)
from .gradient_stats import GradientStats
from .passes import PassBook

__all__ = ["ALL_UNMEASURED", "UNMEASURED", "Recorder", "RowListener"]

MAX_EVIDENCE = 20
"""So many nodes that make NaN or Inf are looked at; those after them seldom add anything."""

_now = time.perf_counter_ns
_thread = threading.get_ident


ALL_UNMEASURED = -1
"""In place of the number of slots: a gradient in every slot, of which nothing was measured."""

UNMEASURED = -2
"""There was a gradient, of which no more is known than what the graph tells."""


_EVERY_SLOT = (ALL_UNMEASURED, ALL_UNMEASURED)


class RowListener(Protocol):
    """Told of every row as it is written."""

    def __call__(self, row: Sequence[int]) -> None:
        """A row was written; see `Recorder.flat`."""


class Recorder:
    """What the hooks of one trace share.

    Attributes:
        flat: The rows so far, one after the other, in the order in which nodes finished. A row is:
            id of the node; the engine's number of the pass; identifier of the thread; when the
            node started, and when its formula was done, in nanoseconds of the clock; number of
            output slots, and for each of them the position in the statistics of what the node
            received, or `NO_GRADIENT`, or `UNMEASURED`; the same for what it returned. A flat
            list of numbers is made fastest, and gives the garbage collector nothing to do.
        running: When each node that runs now started, latest last.
        evidence: What was seen at nodes that made NaN or Inf, by graph task and node.
        kept: Copies of what was received and returned, where asked for, by graph task and node.
        made: Per graph task that was recorded itself, pairs of the sequence number that followed
            a node's execution and the id of that node.
        failures: What went wrong in this package itself, and how often.
        listener: Told of every row, if there is one; to be set before the first hook.
    """

    def __init__(self, stats: GradientStats | None, passes: PassBook) -> None:
        self.flat: list[int] = []
        self.running: dict[int, int] = {}
        self.evidence: dict[tuple[int, int], tuple[str, str, dict[str, str]]] = {}
        self.kept: dict[tuple[int, int], tuple[tuple[Any, ...], tuple[Any, ...]]] = {}
        self.made: dict[int, list[tuple[int, int]]] = {}
        self.failures: dict[str, int] = {}
        self.listener: RowListener | None = None
        self._lock = threading.RLock()
        self._stats = stats
        self._passes = passes

    def register(self, id: int, node: LiveNode, *, keep: bool) -> list[Any]:
        """Hook one node.

        Returns:
            The handles; removing them ends it.
        """
        before = self._before(id)
        if self._stats is None and not keep:
            after = self._after_meta(id, len(node.next_functions))
        elif type(node).__name__ == "AccumulateGrad":
            before, after = self._around_leaf(id, keep=keep)
        else:
            after = self._after(id, keep=keep)
        return [node.register_prehook(before), node.register_hook(after)]

    # -- the hooks -----------------------------------------------------------------------------

    def _before(self, id: int) -> Callable[[Any], None]:
        running = self.running

        def before(_: Any) -> None:
            running[id] = _now()

        return before

    def _after_meta(self, id: int, input_slots: int) -> Callable[[Any, Any], None]:
        """Notes which slots had a gradient; shapes and types are those that the graph tells.

        The engine checks both against the node's own metadata before a hook sees the gradient.
        """
        running, passes, write, extend = self.running, self._passes, self.write, self.flat.extend
        stop, recorded, is_watched = running.pop, passes.recorded_tasks, self.listener is not None
        is_short = input_slots <= 1

        def after(returned: Any, received: Any) -> None:
            end = _now()
            start = stop(id, end)
            task = current_graph_task()
            if task != passes.current_task and not passes.enter(task, id):
                return
            # Nearly all nodes have one slot on either side, each with a gradient.
            if (
                is_short
                and len(received) == 1
                and received[0] is not None
                and (not returned or returned[0] is not None)
            ):
                row: Sequence[int] = (id, task, _thread(), start, end, *_EVERY_SLOT)
            else:
                came, went = _flags(received), _flags(returned)
                row = (id, task, _thread(), start, end, len(came), *came, len(went), *went)
            if is_watched or recorded:
                write(row)
            else:
                extend(row)

        return after

    def _after(self, id: int, *, keep: bool) -> Callable[[Any, Any], None]:
        running, passes, write, extend = self.running, self._passes, self.write, self.flat.extend
        stop, recorded, is_watched = running.pop, passes.recorded_tasks, self.listener is not None
        measure = self._measure

        def after(returned: Any, received: Any) -> None:
            end = _now()
            start = stop(id, end)
            task = current_graph_task()
            if task != passes.current_task and not passes.enter(task, id):
                return
            try:
                came, went = measure(task, id, returned, received)
                if keep:
                    self._keep(task, id, returned, received)
            except Exception as error:  # The user's backward pass must not fail for our sake.
                self.fail(error)
                came, went = _flags(received), _flags(returned)
            row = (id, task, _thread(), start, end, len(came), *came, len(went), *went)
            if is_watched or recorded:
                write(row)
            else:
                extend(row)

        return after

    def _around_leaf(
        self, id: int, *, keep: bool
    ) -> tuple[Callable[[Any], None], Callable[[Any, Any], None]]:
        """The hooks of a leaf, which measures before it accumulates.

        The gradient may become the tensor's `.grad` itself, and a post-accumulate hook of the
        user, such as an optimizer step, may have written to that when the second hook runs.
        """
        running, passes, write, measure = self.running, self._passes, self.write, self._measure
        seen: dict[int, Sequence[int]] = {}

        def before(received: Any) -> None:
            task = current_graph_task()
            if task != passes.current_task and not passes.enter(task, id):
                return
            try:
                seen[task], _ = measure(task, id, (), received)
                if keep:
                    self._keep(task, id, (), received)
            except Exception as error:  # The user's backward pass must not fail for our sake.
                self.fail(error)
            running[id] = _now()

        def after(_: Any, received: Any) -> None:
            end = _now()
            start = running.pop(id, end)
            task = current_graph_task()
            if task != passes.current_task and not passes.enter(task, id):
                return
            came = seen.pop(task, None)
            if came is None:
                came = _flags(received)
            write((id, task, _thread(), start, end, len(came), *came, 0))

        return before, after

    # -- what they do --------------------------------------------------------------------------

    def write(self, row: Sequence[int]) -> None:
        """Add a row, and do what is to be done besides."""
        node, task = row[0], row[1]
        if task in self._passes.recorded_tasks:
            self.made.setdefault(task, []).append((next_sequence_nr(), node))
        if self.listener is None:
            self.flat.extend(row)
            return
        with self._lock:  # A log has the order of the trace, whichever thread comes first.
            self.flat.extend(row)
            try:
                self.listener(row)
            except Exception as error:
                self.fail(error)

    def fail(self, error: Exception) -> None:
        """Note that something of ours went wrong; the backward pass goes on."""
        text = f"{type(error).__name__}: {error}"
        self.failures[text] = self.failures.get(text, 0) + 1

    def _measure(
        self, task: int, id: int, returned: Sequence[Any], received: Sequence[Any]
    ) -> tuple[Sequence[int], Sequence[int]]:
        if self._stats is not None and are_modes_active():
            # Once here, since a function mode would be called for every reduction.
            with functions_unobserved():
                return self._measure_unobserved(task, id, returned, received)
        return self._measure_unobserved(task, id, returned, received)

    def _measure_unobserved(
        self, task: int, id: int, returned: Sequence[Any], received: Sequence[Any]
    ) -> tuple[Sequence[int], Sequence[int]]:
        stats = self._stats
        if stats is None:
            return _flags(received), _flags(returned)
        came = [stats.note(gradient) for gradient in received]
        went = stats.note_returned(returned, received, came)
        nonfinite = stats.nonfinite
        if nonfinite and not nonfinite.isdisjoint(went) and nonfinite.isdisjoint(came):
            self._examine(task, id, returned, received)
        return came, went

    def _examine(
        self, task: int, id: int, returned: Sequence[Any], received: Sequence[Any]
    ) -> None:
        """Look at what the running node saved, before it is freed."""
        node = current_node()
        if node is None or len(self.evidence) >= MAX_EVIDENCE:
            return
        with torch.no_grad(), contextlib.suppress(Exception):
            found = examine(node, tuple(received), tuple(returned))
            if found is not None:
                self.evidence[task, id] = found

    def _keep(self, task: int, id: int, returned: Sequence[Any], received: Sequence[Any]) -> None:
        with torch.no_grad(), unobserved():
            self.kept[task, id] = (_copies(received), _copies(returned))


def _copies(gradients: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(
        [None if gradient is None else gradient.detach().clone() for gradient in gradients]
    )


def _flags(gradients: Sequence[Any]) -> tuple[int, ...]:
    return tuple([NO_GRADIENT if g is None else UNMEASURED for g in gradients])
