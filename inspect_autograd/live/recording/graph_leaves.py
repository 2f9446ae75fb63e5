"""Which leaves lie behind a tensor, without walking the same graph twice.

A cut is often made once per time step of a loop, or once per batch at a loss. Walking everything
behind it each time would take quadratic time. So what was found out is noted in the `metadata` of
nodes: of the one that was asked for, and of those with an edge that crosses a multiple of `BLOCK`
of the sequence numbers. Every way that is longer than a few nodes meets one of these; nodes that
are chosen one by one would not do, as some way always leads around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ...graph.tables import EdgeTable
from ..private_modes import sequence_nr_of
from ..private_torch import NO_SEQUENCE_NR, LiveNode
from ..stepping_stones import SPACING, plant_stepping_stones
from .known_tensors import KnownTensors, NameSource

__all__ = ["METADATA_KEY", "GraphLeaves"]

METADATA_KEY = "inspect_autograd.leaves"
BLOCK = 16
"""Sequence numbers between two borders: a walk that meets known ground goes some 16 nodes far, and
about one node in six keeps a note."""

_NO_EDGES = EdgeTable.from_columns(1, sources=(), source_slots=(), targets=(), target_slots=())
Found = tuple[int, int]
"""The leaves behind a node, as a set of bits, and how many nodes at most are on a way from it to
the next stepping stone or to the end of the graph."""
_NOTHING: Found = (0, 0)


@dataclass(slots=True)
class _Visit:
    """A walk.

    Attributes:
        nodes: Those that were met; the first is where it started.
        ids: Index of each of them.
        numbers: Sequence number of each.
        next_ids: Per node that was looked at, the nodes next to it; empty if it has a note.
        found: Per node that was looked at, what is known so far.
        borders: Nodes that are to keep a note.
    """

    nodes: list[LiveNode]
    ids: dict[LiveNode, int]
    numbers: list[int]
    next_ids: list[list[int]] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    borders: set[int] = field(default_factory=set)


class GraphLeaves:
    """Finds the leaves behind tensors.

    Args:
        known: Gives leaves their bits.
    """

    def __init__(self, known: KnownTensors) -> None:
        self._known = known
        self._owner = object()  # Another recording has other bits.

    def behind(self, tensor: torch.Tensor, source: NameSource) -> int:
        """The set of the leaves behind a tensor that requires grad."""
        try:
            node = tensor.grad_fn
        except RuntimeError:
            return 0  # A view that an in-place change has spoiled.
        return self._known.mask_of(tensor, source) if node is None else self._walk(node, source)

    def note(self, node: LiveNode, mask: int) -> None:
        """Somebody else has walked everything behind a node, and planted stepping stones."""
        node.metadata[METADATA_KEY] = (self._owner, mask, SPACING - 1)

    def _read(self, node: LiveNode) -> Found | None:
        entry = node.metadata.get(METADATA_KEY)
        return entry[1:] if entry is not None and entry[0] is self._owner else None

    def _walk(self, start: LiveNode, source: NameSource) -> int:
        noted = self._read(start)
        if noted is not None:
            return noted[0]
        nodes = [start]
        stones: list[LiveNode] = nodes  # Until it is known which of them will do.
        try:
            visit = _Visit(nodes, {start: 0}, list(map(sequence_nr_of, nodes)))
            self._explore(visit, source)
            stones = self._add_up(visit)
        finally:
            # Also after an interrupt: no node that was touched may be left without a stone near.
            if stones:
                numbers = list(map(sequence_nr_of, stones))
                # As nodes behind which a walk stopped, so that each of them gets a stone.
                plant_stepping_stones(stones, numbers, _NO_EDGES, boundary=range(len(stones)))
        mask, length = visit.found[0]
        start.metadata[METADATA_KEY] = (self._owner, mask, length)
        return mask

    def _explore(self, visit: _Visit, source: NameSource) -> None:
        """Look at every node that is not behind one with a note."""
        nodes, numbers, ids = visit.nodes, visit.numbers, visit.ids
        mask_of, id_of = self._known.mask_of, ids.get
        for index, node in enumerate(nodes):  # The list grows while it is read.
            number = numbers[index]
            near: list[int] = []
            visit.next_ids.append(near)
            if number == NO_SEQUENCE_NR and isinstance(
                variable := getattr(node, "variable", None), torch.Tensor
            ):
                visit.found.append((mask_of(variable, source), 0))
                continue
            block, is_border = number // BLOCK, False
            added = []
            for next_node, _ in node.next_functions:
                if next_node is None:
                    continue
                id = id_of(next_node)
                if id is not None:
                    near.append(id)
                    next_number = numbers[id]
                else:
                    next_number = sequence_nr_of(next_node)
                    added.append((next_node, next_number))
                if next_number // BLOCK != block and next_number != NO_SEQUENCE_NR:
                    is_border = True
            if is_border:
                noted = self._read(node)
                if noted is not None:
                    near.clear()
                    visit.found.append(noted)
                    continue
                visit.borders.add(index)
            visit.found.append(_NOTHING)
            for next_node, next_number in added:
                id = id_of(next_node)
                if id is None:
                    id = ids[next_node] = len(nodes)
                    nodes.append(next_node)
                    numbers.append(next_number)
                near.append(id)

    def _add_up(self, visit: _Visit) -> list[LiveNode]:
        """Fill `found` in from the leaves on, and note it in the borders.

        Returns:
            Nodes that have to become stepping stones.
        """
        nodes, found, stones = visit.nodes, visit.found, []
        for index in _leaves_first(visit.numbers, visit.next_ids):
            near = visit.next_ids[index]
            if not near:
                continue
            mask = longest = 0
            for id in near:
                behind, length = found[id]
                mask |= behind
                if length > longest:
                    longest = length
            longest += 1
            if longest >= SPACING:
                stones.append(nodes[index])
                longest = 0
            found[index] = mask, longest
            if index in visit.borders:
                nodes[index].metadata[METADATA_KEY] = (self._owner, mask, longest)
        return stones


def _leaves_first(numbers: list[int], next_ids: list[list[int]]) -> Sequence[int]:
    """An order in which every node comes after all that are next to it.

    Within one thread every edge leads to a smaller sequence number, or to a leaf, which has none.
    """
    ranks = [-1 if number == NO_SEQUENCE_NR else number for number in numbers]
    for rank, near in zip(ranks, next_ids, strict=True):
        for id in near:
            if ranks[id] >= rank:
                return _depth_first(next_ids)
    return sorted(range(len(ranks)), key=ranks.__getitem__)


def _depth_first(next_ids: list[list[int]]) -> list[int]:
    """Such an order by going along the edges, as nodes of several threads need it."""
    order: list[int] = []
    is_open, is_done = bytearray(len(next_ids)), bytearray(len(next_ids))
    stack = [0]
    while stack:
        id = stack[-1]
        if is_open[id]:
            stack.pop()
            if not is_done[id]:
                is_done[id] = True
                order.append(id)
        else:
            is_open[id] = True
            stack += [other for other in next_ids[id] if not is_open[other]]
    return order
