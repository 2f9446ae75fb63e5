"""Let a deep graph that was touched from Python be freed without overflowing the C stack.

On torch 2.13 and newer a node owns its Python wrapper once Python has looked at it. When the
last tensor of such a graph goes, freeing one node frees the wrapper of the next, which frees the
next: one C stack frame per node. A chain of some 42 000 nodes overflows a stack of 8 MB and kills
the process (5 000 nodes overflow 1 MB).

The cure: some nodes, the *stepping stones*, get an entry in their `metadata` dict that also holds
the nodes behind them, and hands these to another thread when it dies. The cascade stops there and
goes on from a fresh stack. Since a node holds its next nodes anyway, nothing lives longer than it
would, but for the moment that it takes the other thread to run.

Stones are chosen so that no way through the graph passes more than `SPACING` nodes without one.
Graphs that are less deep get none.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from array import array
from collections.abc import Collection, Sequence
from operator import le
from queue import SimpleQueue
from typing import Any

from ..graph.tables import EdgeTable
from ..graph.topology import topological_order
from .private_torch import NO_SEQUENCE_NR, LiveNode

__all__ = [
    "METADATA_KEY",
    "SPACING",
    "SteppingStone",
    "choose_stones",
    "drain",
    "plant_stepping_stones",
]

SPACING = 500
"""Nodes between two stones: some 100 KB of C stack, which the smallest thread stacks in use
(128 KB with musl, 512 KB on macOS) can hold."""

METADATA_KEY = "inspect_autograd.stepping_stone"


class _Drain:
    """A queue of things to be let go of, and the daemon thread that does so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        # SimpleQueue.put is reentrant, so it may be called from a destructor at any point.
        self.queue: SimpleQueue[Any] = SimpleQueue()
        self.released = 0
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def is_unused(self) -> bool:
        """Whether the thread never ran and has nothing to do."""
        return self._thread is None and self.queue.empty()

    def start(self) -> None:
        """Start the thread, unless it runs or the interpreter is about to exit."""
        with self._lock:
            if not self._closing and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(
                    target=self._run, name="inspect_autograd-drain", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            item = self.queue.get()
            if isinstance(item, threading.Event):
                item.set()
            else:
                del item  # Now, not at the next get(), which may be long in coming.
                self.released += 1

    def close(self) -> None:
        """Stop the thread before the interpreter goes.

        A thread that comes back from C++ into an interpreter that is being finalized is ended by
        an exception, which in the destructor of a node would abort the process. What is still to
        be freed from now on is left to the operating system: the queue is made immortal, since
        freeing it would start the cascade that it is there to prevent.
        """
        self._closing = True
        if self._thread is not None:
            self.queue.put(threading.Event())  # Wakes the thread.
            self._thread.join()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.queue))

    def restart_after_fork(self) -> None:
        """Threads do not survive a fork, and one of them may have held the lock."""
        was_running = self._thread is not None
        self._lock = threading.Lock()
        self._reset()
        if was_running:
            self.start()


_drain = _Drain()
atexit.register(_drain.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drain.restart_after_fork)


class SteppingStone:
    """Held by the `metadata` of one node; holds the nodes behind it."""

    __slots__ = ("_next_nodes",)

    def __init__(self, next_nodes: list[LiveNode]) -> None:
        self._next_nodes = next_nodes

    def __del__(self, drain: _Drain = _drain) -> None:
        # The default argument outlives the module's globals at interpreter exit.
        drain.queue.put(self._next_nodes)

    def __repr__(self) -> str:
        return "<lets a deep graph be freed; see inspect_autograd.live.stepping_stones>"


def drain(timeout_s: float = 60.0) -> bool:
    """Wait until everything that stones have handed over so far is let go of.

    Only needed where the moment matters, as in a test of memory use.

    Returns:
        False if it was not done in time.
    """
    if _drain.is_unused:
        return True
    _drain.start()
    released = -1
    while released != _drain.released:
        # Letting go of one thing may hand over the next. All is done once nothing was let go of
        # between two events in a row.
        released = _drain.released
        done = threading.Event()
        _drain.queue.put(done)
        if not done.wait(timeout_s):
            return False
    return True


def plant_stepping_stones(
    nodes: Sequence[LiveNode],
    sequence_nrs: Sequence[int],
    edges: EdgeTable,
    boundary: Collection[int] = (),
) -> None:
    """Make a graph that was walked safe to free.

    Args:
        nodes: The live nodes.
        sequence_nrs: Of each of these.
        edges: The edges between them, by index into `nodes`.
        boundary: Indices of nodes behind which the walk stopped. They become stones whatever
            the depth, so that walked pieces of one graph do not add up.
    """
    chosen = choose_stones(sequence_nrs, edges) if len(nodes) > SPACING else set()
    for index in chosen.union(boundary):
        node = nodes[index]
        metadata = node.metadata
        if METADATA_KEY not in metadata:
            next_nodes = [
                next_node for next_node, _ in node.next_functions if next_node is not None
            ]
            if next_nodes:
                metadata[METADATA_KEY] = SteppingStone(next_nodes)
    if chosen or boundary:
        _drain.start()


def choose_stones(sequence_nrs: Sequence[int], edges: EdgeTable) -> set[int]:
    """Nodes such that every way of more than `SPACING` nodes meets one of them.

    Within one thread every edge leads to a smaller sequence number. Then the sources of the edges
    that cross a multiple of `SPACING` will do. Where that does not hold (numbers are counted per
    thread) the longest ways are followed.
    """
    # A leaf has no number and ends every way that it is on.
    numbers = [-1 if number == NO_SEQUENCE_NR else number for number in sequence_nrs]
    source_numbers = map(numbers.__getitem__, edges.sources)
    target_numbers = list(map(numbers.__getitem__, edges.targets))
    if any(map(le, source_numbers, target_numbers)):
        return _stones_by_longest_way(edges)
    return {
        source
        for source, number in zip(edges.sources, target_numbers, strict=True)
        if number >= 0 and number // SPACING != numbers[source] // SPACING
    }


def _stones_by_longest_way(edges: EdgeTable) -> set[int]:
    # In topological order (Kahn's algorithm) every node learns the longest way without a stone
    # that ends at it.
    starts, targets = edges.starts, edges.targets
    longest = array("q", bytes(8 * (len(starts) - 1)))
    stones = set()
    for node in topological_order(edges):
        length = longest[node] + 1
        if length >= SPACING:
            stones.add(node)
            length = 0
        for target in targets[starts[node] : starts[node + 1]]:
            if length > longest[target]:
                longest[target] = length
    return stones
