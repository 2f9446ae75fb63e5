"""Tell which thread made a node, where several made nodes with the same sequence number.

Sequence numbers are counted per thread. As long as one thread is recorded, a number tells the call.
From the moment on in which a second one is, the nodes that a call hands out are marked in their
`metadata`; those inside of it are found from there, since edges lead from them to older ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch

from ..private_torch import NO_SEQUENCE_NR, LiveNode, sequence_nrs
from ..walk import walk_graph

__all__ = ["KEY", "find_owners", "mark"]

KEY = "inspect_autograd.made_by"

Mark = tuple[int, int, int]
"""Which ThreadCalls; and the next sequence numbers before the call and after it."""


def mark(result: Any, args: tuple[Any, ...], made: Mark) -> None:
    """Mark the nodes that a call has made, as far as they are in its result.

    Args:
        result: What was returned; where that is nothing, the first argument was written to.
        args: The arguments.
        made: What to write on them.
    """
    if result is None:
        result = args[:1]
    for tensor in result if isinstance(result, tuple | list) else (result,):
        if isinstance(tensor, torch.Tensor):
            # A view that an in-place change has spoiled has no node to ask for.
            with contextlib.suppress(RuntimeError):
                _mark_node(tensor.grad_fn, made)


def _mark_node(node: LiveNode | None, made: Mark) -> None:
    if node is None or not made[1] <= sequence_nrs([node])[0] < made[2]:
        return
    node.metadata[KEY] = made
    # It was touched from Python, so it has to be made safe to free.
    walk_graph([node], max_nodes=1)


def find_owners(ids: Mapping[LiveNode, int], is_ambiguous: Any) -> dict[int, int]:
    """Which thread made each node that several may have made.

    Args:
        ids: Live nodes with their ids, roots first.
        is_ambiguous: Tells of a sequence number whether several threads gave it out.

    Returns:
        By node id, the thread, as it stands in the marks; nodes that have none are left out.
    """
    nodes = list(ids)
    numbers = sequence_nrs(nodes)
    marks: dict[LiveNode, Mark] = {}
    owners: dict[int, int] = {}
    for node, number in zip(nodes, numbers, strict=True):
        if number == NO_SEQUENCE_NR or not is_ambiguous(number):
            continue
        made = node.metadata.get(KEY) or marks.get(node)
        if made is None:
            continue
        owners[ids[node]] = made[0]
        for next_node, _ in node.next_functions:
            if next_node is not None and _is_inside(next_node, made):
                marks.setdefault(next_node, made)
    return owners


def _is_inside(node: LiveNode, made: Mark) -> bool:
    return made[1] <= sequence_nrs([node])[0] < made[2]
