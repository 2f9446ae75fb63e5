"""Splitting groups of nodes so that the folded graph has no cycle.

A module that is called twice, or a weight that is shared, is left by the gradient and entered
again. As one box it would close a loop, so such a group is split into instances, one for each
time it is entered.

Every node gets a rank: how often, on the way from a root on which that happens most, the gradient
passed from one group to another. Along an edge within a group the rank cannot fall, along any
other edge it rises, so boxes made of the nodes of one group and one rank cannot lie on a cycle.
That splits more than it must (a group entered by two ways of different length falls apart), so
instances are joined again wherever that closes no cycle.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from heapq import heappop, heappush

from ..tables import EdgeTable
from ..topology import topological_order

__all__ = ["split_into_instances"]

TRIED_INSTANCES = 4
"""With how many of the instances before it an instance is tried to be joined."""

WORK_PER_EDGE = 20
"""Steps of search per node and edge after which no more instances are joined. The result is right
without any joining; this keeps the time linear in graphs made of thousands of calls."""


def split_into_instances(edges: EdgeTable, group_of: Sequence[int]) -> dict[int, list[list[int]]]:
    """For every group its instances in forward order, each as ascending node ids.

    Args:
        edges: Of a graph without cycles.
        group_of: The group of each node; -1 for a node that stays alone.

    Returns:
        Groups in the order of their numbers. Folding every instance into one node gives a graph
        without cycles.
    """
    ranks = _rank(edges, group_of)
    instance_of: dict[tuple[int, int], int] = {}
    box_of = array("q", bytes(8 * len(group_of)))
    boxes = 0
    for node, group in enumerate(group_of):
        key = (group, ranks[node]) if group >= 0 else (-1, node)
        box = instance_of.get(key, boxes)
        if box == boxes:
            instance_of[key] = boxes
            boxes += 1
        box_of[node] = box
    grouped: dict[int, list[int]] = {}
    for group, rank in sorted(key for key in instance_of if key[0] >= 0):
        grouped.setdefault(group, []).append(instance_of[group, rank])
    level = array("q", bytes(8 * boxes))
    for node, box in enumerate(box_of):
        level[box] = ranks[node]
    if any(len(instances) > 1 for instances in grouped.values()):
        joiner = _Joiner(edges, box_of, level)
        grouped = {group: joiner.join(instances) for group, instances in grouped.items()}
        box_of = array("q", map(joiner.find, box_of))
    members: dict[int, list[int]] = {}
    for node, group in enumerate(group_of):
        if group >= 0:
            members.setdefault(box_of[node], []).append(node)
    # Gradients flow against the forward pass: what lies nearer the leaves was called earlier.
    return {
        group: [members[box] for box in sorted(instances, key=lambda box: (-level[box], box))]
        for group, instances in grouped.items()
    }


def _rank(edges: EdgeTable, group_of: Sequence[int]) -> array[int]:
    ranks = array("q", bytes(8 * len(group_of)))
    starts, targets = edges.starts, edges.targets
    for node in topological_order(edges):
        group = group_of[node]
        inside, outside = ranks[node], ranks[node] + 1
        for target in targets[starts[node] : starts[node + 1]]:
            rank = inside if group >= 0 and group_of[target] == group else outside
            if ranks[target] < rank:
                ranks[target] = rank
    return ranks


class _Joiner:
    """Joins boxes of a graph without cycles, as long as none arises.

    `level` rises along every edge between boxes, so a search for a way from one box to another
    need not go beyond the level of its goal.
    """

    def __init__(self, edges: EdgeTable, box_of: Sequence[int], level: array[int]) -> None:
        self._level = level
        self._parent = array("q", range(len(level)))
        self._after: list[set[int]] = [set() for _ in level]
        for source, target in zip(edges.sources, edges.targets, strict=True):
            if box_of[source] != box_of[target]:
                self._after[box_of[source]].add(box_of[target])
        self._work_left = WORK_PER_EDGE * (len(level) + len(edges))

    def find(self, box: int) -> int:
        """The box that `box` was joined to, itself if it was not."""
        parent = self._parent
        while parent[box] != box:
            parent[box] = parent[parent[box]]
            box = parent[box]
        return box

    def join(self, boxes: Sequence[int]) -> list[int]:
        """Join what can be joined of `boxes`, which come in the order of their levels."""
        kept: list[int] = []
        for box in boxes:
            for index in range(len(kept) - 1, max(-1, len(kept) - 1 - TRIED_INSTANCES), -1):
                low, high = sorted((kept[index], box), key=lambda box: self._level[box])
                if self._work_left > 0 and not self._is_reached_around(low, high):
                    self._absorb(low, high)
                    kept[index] = high
                    break
            else:
                kept.append(box)
        return kept

    def _is_reached_around(self, low: int, high: int) -> bool:
        """Whether a way leads from `low` to `high` through another box."""
        level, find, goal_level = self._level, self.find, self._level[high]
        seen = {low}
        pending = [low]
        while pending:
            box = pending.pop()
            for after in map(find, self._after[box]):
                self._work_left -= 1
                if after == high and box != low:
                    return True
                if after not in seen and level[after] < goal_level:
                    seen.add(after)
                    pending.append(after)
        return False

    def _absorb(self, low: int, high: int) -> None:
        self._parent[low] = high
        self._after[high] |= self._after[low]
        self._after[high] -= {low, high}
        self._after[low] = set()
        level, find = self._level, self.find
        # Behind `high`, the levels of before still rise along every edge: taken in their order,
        # each box is raised to its new level before it is passed.
        pending = [(level[high], high)]
        raised = {high}
        while pending:
            _, box = heappop(pending)
            for after in map(find, self._after[box]):
                self._work_left -= 1
                if after != box and level[after] <= level[box]:
                    if after not in raised:
                        raised.add(after)
                        heappush(pending, (level[after], after))
                    level[after] = level[box] + 1
