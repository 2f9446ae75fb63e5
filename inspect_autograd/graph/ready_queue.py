"""The engine's queue of nodes that are ready to run, ties included."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["LEAF_PRIORITY", "ReadyQueue", "priority_of"]

LEAF_PRIORITY = 2**64 - 1
"""The sequence number of what has none (AccumulateGrad): it runs as soon as it is ready."""


def priority_of(sequence_nr: int | None) -> int:
    """What the queue orders a node by: its sequence number, or the highest of all."""
    return LEAF_PRIORITY if sequence_nr is None else sequence_nr


class ReadyQueue:
    """Nodes that are ready to run, the highest sequence number first.

    The engine keeps them in a `std::priority_queue` (`ReadyQueue` in
    torch/csrc/autograd/engine.h), which is a binary heap. Nodes with the same number are common
    (every AccumulateGrad has the same), and the heap's algorithm decides which of them comes
    first. So this is the heap of libstdc++, the C++ library of PyTorch's builds for Linux, step by
    step (`__push_heap` and `__adjust_heap` in bits/stl_heap.h); the heap of Python's `heapq` gives
    another order. Other C++ libraries may also order ties differently.

    Args:
        entries: Priority and node, to be put in one after the other.
    """

    __slots__ = ("_heap",)

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._heap: list[tuple[int, int]] = []
        for priority, node in entries:
            self.push(priority, node)

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, priority: int, node: int) -> None:
        """Put a node in."""
        heap = self._heap
        heap.append((priority, node))
        if len(heap) > 1:
            self._sift_up(len(heap) - 1, (priority, node))

    def peek(self) -> int:
        """The node that `pop` would give."""
        return self._heap[0][1]

    def pop(self) -> int:
        """Take out the node that runs next."""
        heap = self._heap
        node = heap[0][1]
        last = heap.pop()
        if heap:
            self._sift_up(self._sink_hole(), last)
        return node

    def copy(self) -> ReadyQueue:
        """The same entries in the same places."""
        other = ReadyQueue()
        other._heap = self._heap[:]
        return other

    def in_order(self) -> tuple[int, ...]:
        """All nodes, in the order in which they would be taken out if nothing were put in."""
        other = self.copy()
        return tuple(other.pop() for _ in range(len(other)))

    def _sink_hole(self) -> int:
        """Move the hole at the top down to a place without children; of equals take the right."""
        heap = self._heap
        # The last entry was taken off, and comes back into the hole: the hole counts as one place.
        size = len(heap)
        hole = 0
        child = 2
        while child < size:
            if heap[child][0] < heap[child - 1][0]:
                child -= 1
            heap[hole] = heap[child]
            hole = child
            child = 2 * child + 2
        if child == size:  # An only child.
            heap[hole] = heap[child - 1]
            hole = child - 1
        return hole

    def _sift_up(self, hole: int, entry: tuple[int, int]) -> None:
        """Put an entry into the hole, or above it, as far as it is greater than its parents."""
        heap = self._heap
        priority = entry[0]
        while hole:
            parent = (hole - 1) >> 1
            if heap[parent][0] >= priority:
                break
            heap[hole] = heap[parent]
            hole = parent
        heap[hole] = entry
