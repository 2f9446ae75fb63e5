"""Which leaves lie behind a tensor, without walking the same graph twice.

A cut is often made once per time step of a loop, or once per batch at a loss. Walking everything
behind it each time would take quadratic time. So what was found out is noted in the `metadata` of
nodes: of the one that was asked for, and of one in sixteen of the others, chosen by a hash of its
sequence number. (By the number itself, a loop with a fitting number of nodes might never meet one.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...graph.tables import EdgeTable
from ..private_modes import sequence_nr_of
from ..private_torch import NO_SEQUENCE_NR, LiveNode
from ..stepping_stones import SPACING, plant_stepping_stones
from .known_tensors import KnownTensors, NameSource

__all__ = ["METADATA_KEY", "GraphLeaves"]

METADATA_KEY = "inspect_autograd.leaves"

_NO_EDGES = EdgeTable.from_columns(1, sources=(), source_slots=(), targets=(), target_slots=())
Found = tuple[int, int]
"""The leaves behind a node, as a set of bits, and how many nodes at most are on a way from it to
the next stepping stone or to the end of the graph."""
_NOTHING: Found = (0, 0)


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
        ids: dict[LiveNode, int] = {start: 0}
        nodes = [start]
        stones: list[LiveNode] = nodes  # Until it is known which of them will do.
        try:
            numbers = list(map(sequence_nr_of, nodes))
            found, next_ids = self._visit(nodes, ids, numbers, source)
            stones = self._add_up(nodes, numbers, next_ids, found)
        finally:
            # Also after an interrupt: no node that was touched may be left without a stone near.
            if stones:
                numbers = list(map(sequence_nr_of, stones))
                # As nodes behind which a walk stopped, so that each of them gets a stone.
                plant_stepping_stones(stones, numbers, _NO_EDGES, boundary=range(len(stones)))
        mask, length = found[0]
        start.metadata[METADATA_KEY] = (self._owner, mask, length)
        return mask

    def _visit(
        self,
        nodes: list[LiveNode],
        ids: dict[LiveNode, int],
        numbers: list[int],
        source: NameSource,
    ) -> tuple[list[Found], list[list[int]]]:
        """Look at every node that is not behind one with a note.

        Args:
            nodes: Where to start; all that are looked at are added.
            ids: Index of each of them.
            numbers: Sequence number of each.
            source: Has names.

        Returns:
            Per node, what is known so far, and the nodes next to it.
        """
        found: list[Found] = []
        next_ids: list[list[int]] = []
        mask_of, id_of = self._known.mask_of, ids.get
        for index, node in enumerate(nodes):  # The list grows while it is read.
            number = numbers[index]
            near: list[int] = []
            next_ids.append(near)
            found.append(_NOTHING)
            if number == NO_SEQUENCE_NR and isinstance(
                variable := getattr(node, "variable", None), torch.Tensor
            ):
                found[-1] = mask_of(variable, source), 0
            elif _is_sampled(number) and (noted := self._read(node)) is not None:
                found[-1] = noted
            else:
                for next_node, _ in node.next_functions:
                    if next_node is not None:
                        id = id_of(next_node)
                        if id is None:
                            id = ids[next_node] = len(nodes)
                            nodes.append(next_node)
                            numbers.append(sequence_nr_of(next_node))
                        near.append(id)
        return found, next_ids

    def _add_up(
        self,
        nodes: list[LiveNode],
        numbers: list[int],
        next_ids: list[list[int]],
        found: list[Found],
    ) -> list[LiveNode]:
        """Fill `found` in from the leaves on, and note it in some of the nodes.

        Returns:
            Nodes that have to become stepping stones.
        """
        stones = []
        for index in _leaves_first(numbers, next_ids):
            near = next_ids[index]
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
            if _is_sampled(numbers[index]):
                nodes[index].metadata[METADATA_KEY] = (self._owner, mask, longest)
        return stones


def _is_sampled(number: int) -> bool:
    """Whether a node with this number keeps what was found out."""
    return (number * 2654435761) & 0xF0000000 == 0


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
