"""Whether graphs grow from pass to pass, and whether those of earlier losses are still alive."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence

import torch

from ...diagnosis.records import Diagnosis
from ...diagnosis.training_judge import TrainingJudge
from ..private_torch import LiveNode
from ..walk import walk_graph

__all__ = ["GraphWatch"]

MAX_NODES = 200_000
_REMEMBERED = 64
_KEY = "inspect_autograd.watch"
_RECENT = 2
"""Steps whose losses may well be alive: that of the last one, which a variable still holds."""


class _Marker:
    """Lies in the metadata of a loss's node, and dies with it: nodes have no weak references."""

    __slots__ = ("__weakref__",)


class GraphWatch:
    """Is shown each backward pass of a training before it starts."""

    def __init__(self) -> None:
        self._markers: deque[tuple[int, weakref.ref[_Marker]]] = deque(maxlen=_REMEMBERED)
        self._counts: dict[str, int] = {}

    def look(
        self, outputs: Sequence[torch.Tensor], place: str, step: int, judge: TrainingJudge
    ) -> list[Diagnosis]:
        """What is wrong with the graphs.

        Args:
            outputs: That the pass starts from.
            place: The line that asked for it.
            step: Which step of the training.
            judge: Decides.
        """
        nodes: list[LiveNode] = [output.grad_fn for output in outputs if output.grad_fn is not None]
        found = self._look_for_kept(step, judge)
        for node in nodes:
            marker = _Marker()
            node.metadata[_KEY] = marker
            self._markers.append((step, weakref.ref(marker)))
        count = self._counts[place] = self._counts.get(place, 0) + 1
        if nodes and is_sampled(count):
            size = len(walk_graph(nodes, MAX_NODES).nodes)
            found += judge.judge_size(place, count, size)
        return found

    def _look_for_kept(self, step: int, judge: TrainingJudge) -> list[Diagnosis]:
        alive = [made for made, marker in self._markers if marker() is not None]
        return judge.judge_kept(step, (made for made in alive if made <= step - _RECENT))


def is_sampled(count: int) -> bool:
    """Whether the graph of the pass with this number is walked: 1, 2, 3, 4, 6, 8, 12, 16, 24.

    And so on: the walks cost less and less, however long the training is.
    """
    power = 1 << (count.bit_length() - 1)
    return count == power or 2 * count == 3 * power
