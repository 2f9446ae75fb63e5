"""Tell the derivative order of nodes, where it can be told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .private_torch import ANOMALY_PARENT, ANOMALY_TRACEBACK, NO_SEQUENCE_NR
from .walk import LiveGraph

__all__ = ["find_orders"]

# The derivative of a derivative formula is named after it: SigmoidBackwardBackward0,
# ConvolutionBackwardBackward0, NativeLayerNormDoubleBackward0.
_SECOND = re.compile(r"(?:Backward|Double)Backward")


def find_orders(live: LiveGraph, names: Sequence[str]) -> dict[int, int]:
    """Derivative orders by node id, only for the nodes where it is known.

    Two things tell. A `SigmoidBackwardBackward0` with an edge to a `SigmoidBackward0` was made
    when that one ran, and has order 2 at least; the name alone proves nothing, as a forward pass
    may call a derivative formula itself (`istft` does). And in a graph made under anomaly mode,
    every node knows which one ran when it was made. Torch keeps no other trace: a `MulBackward0`
    made by a backward pass looks like any other.
    """
    orders: dict[int, int] = {}
    if any(map(_SECOND.search, set(names))):
        for source, target in zip(live.edges.sources, live.edges.targets, strict=True):
            name = names[source]
            if _SECOND.search(name) and names[target] == _SECOND.sub("Backward", name, count=1):
                orders[source] = 2
    if _made_under_anomaly_mode(live):
        for id, node in enumerate(live.nodes):
            if live.sequence_nrs[id] != NO_SEQUENCE_NR:
                orders[id] = max(orders.get(id, 1), _anomaly_order(node))
    return orders


def _made_under_anomaly_mode(live: LiveGraph) -> bool:
    # The first node stands for all: asking every node would make a dict for each, at 9 us.
    return ANOMALY_TRACEBACK in live.nodes[0].metadata


def _anomaly_order(node: Any) -> int:
    order = 1
    while (parent := node.metadata.get(ANOMALY_PARENT)) is not None:
        order += 1
        node = parent
    return order
