"""A backward pass without the engine: the formulas of built-in nodes, called one after the other.

No hook runs, whoever put it there; nothing is freed; no `.grad` changes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..private_torch import LiveNode, input_metadata
from ..vjp.call_node import call_node

__all__ = ["TooSlowError", "leaf_gradients", "order_for_pass"]


class TooSlowError(Exception):
    """It took longer than it may."""


def leaf_gradients(
    order: Sequence[LiveNode],
    root: tuple[LiveNode, int],
    gradient: torch.Tensor,
    deadline: float,
) -> dict[LiveNode, torch.Tensor]:
    """The gradient that every AccumulateGrad node would receive.

    Args:
        order: All nodes, each before those that it passes its gradient on to.
        root: The node to start from and its output slot.
        gradient: What it receives there.
        deadline: When to give up, by `time.perf_counter`.
    """
    metas = dict(zip(order, input_metadata(order), strict=True))
    received: dict[LiveNode, dict[int, torch.Tensor]] = {root[0]: {root[1]: gradient}}
    leaves: dict[LiveNode, torch.Tensor] = {}
    for node in order:
        gradients = received.pop(node, None)
        if gradients is None:
            continue
        if type(node).__name__ == "AccumulateGrad":
            leaves[node] = gradients[0]
            continue
        if time.perf_counter() > deadline:
            raise TooSlowError
        arguments = [gradients.get(slot) for slot in range(len(metas[node]))]
        following = node.next_functions
        values = call_node(node, arguments, len(following)).values
        for (target, slot), value in zip(following, values, strict=True):
            if target is not None and value is not None:
                _add(received.setdefault(target, {}), slot, _fit(value, metas[target][slot]))
    return leaves


def _add(gradients: dict[int, torch.Tensor], slot: int, value: torch.Tensor) -> None:
    known = gradients.get(slot)
    gradients[slot] = value if known is None else known + value


def _fit(value: torch.Tensor, meta: Any) -> torch.Tensor:
    """What the engine makes of a gradient before it passes it on: broadcasts are summed up."""
    if value.shape != meta.shape:
        value = value.sum_to_size(meta.shape)
    return value if value.dtype == meta.dtype else value.to(meta.dtype)


def order_for_pass(ids: Mapping[LiveNode, int]) -> list[LiveNode]:
    """The nodes of a graph in an order in which a pass may run them."""
    waiting = dict.fromkeys(ids, 0)
    for node in ids:
        for target, _ in node.next_functions:
            if target is not None:
                waiting[target] += 1
    order = [node for node, count in waiting.items() if not count]
    for node in order:  # The list grows while it is read.
        for target, _ in node.next_functions:
            if target is not None:
                waiting[target] -= 1
                if not waiting[target]:
                    order.append(target)
    return order
