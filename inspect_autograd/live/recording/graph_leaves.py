"""Which leaves lie behind a tensor, without walking the same graph twice.

A cut is often made once per time step of a loop, or once per batch at a loss. Walking everything
behind it each time would take quadratic time. So what was found out is noted in the `metadata` of
nodes: of the one that was asked for, and of one in sixteen of the others, chosen by a hash of its
sequence number. (By the number itself, a loop with a fitting number of nodes might never meet one.)
"""

from __future__ import annotations

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
        """Depth first, so that a node is looked at after all that is behind it."""
        noted = self._read(start)
        if noted is not None:
            return noted[0]
        done: dict[LiveNode, Found] = {}
        opened: dict[LiveNode, list[LiveNode]] = {}
        stones: list[LiveNode] = []
        stack = [start]
        try:
            while stack:
                node = stack[-1]
                next_nodes = opened.get(node)
                if node in done:
                    stack.pop()
                elif next_nodes is not None:
                    stack.pop()
                    done[node] = self._combine(node, [done[n] for n in next_nodes], stones)
                elif (found := self._look_up(node, source)) is not None:
                    done[node] = found
                    stack.pop()
                else:
                    next_nodes = [n for n, _ in node.next_functions if n is not None]
                    opened[node] = next_nodes
                    stack += [n for n in next_nodes if n not in done]
        finally:
            # Also after an interrupt: no node that was touched may be left without a stone near.
            stones += [node for node in opened if node not in done]
            _plant(stones)
        mask, length = done[start]
        start.metadata[METADATA_KEY] = (self._owner, mask, length)
        return mask

    def _look_up(self, node: LiveNode, source: NameSource) -> Found | None:
        """What is known of a node without looking behind it."""
        number = sequence_nr_of(node)
        if number == NO_SEQUENCE_NR:
            variable = getattr(node, "variable", None)
            if isinstance(variable, torch.Tensor):
                return self._known.mask_of(variable, source), 0
        return self._read(node) if _is_sampled(number) else None

    def _combine(self, node: LiveNode, found: list[Found], stones: list[LiveNode]) -> Found:
        mask = longest = 0
        for behind, length in found:
            mask |= behind
            if length > longest:
                longest = length
        longest += 1
        if longest >= SPACING:
            stones.append(node)
            longest = 0
        if _is_sampled(sequence_nr_of(node)):
            node.metadata[METADATA_KEY] = (self._owner, mask, longest)
        return mask, longest


def _is_sampled(number: int) -> bool:
    """Whether a node with this number keeps what was found out."""
    return (number * 2654435761) & 0xF0000000 == 0


def _plant(stones: list[LiveNode]) -> None:
    if stones:
        numbers = list(map(sequence_nr_of, stones))
        # As nodes behind which a walk stopped, so that each of them gets a stone.
        plant_stepping_stones(stones, numbers, _NO_EDGES, boundary=range(len(stones)))
