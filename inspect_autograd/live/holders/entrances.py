"""The tensors and nodes of a snapshot through which graphs may be held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ..private_torch import LiveNode
from .snapshot import Snapshot

__all__ = ["Entrance", "find_graph_tensors"]

# The descriptors of torch itself: a subclass may have properties of the same name.
_GRAD_FN: Any = torch.Tensor.grad_fn
_GRAD: Any = torch.Tensor.grad
_IS_LEAF: Any = torch.Tensor.is_leaf
_REQUIRES_GRAD: Any = torch.Tensor.requires_grad


@dataclass(slots=True)
class Entrance:
    """Something that leads into a graph.

    Attributes:
        what: As in `HeldTensor`.
        value: The tensor or node.
        node: The node that it leads to.
        references: How many references Python had to it, besides ours.
        leaf: For a gradient, the leaf that it is the gradient of.
    """

    what: Literal["tensor", "node", "gradient"]
    value: Any
    node: LiveNode
    references: int = 0
    leaf: torch.Tensor | None = None


def find_graph_tensors(snapshot: Snapshot) -> list[Entrance]:
    """Every tensor that carries a graph, and every gradient that does.

    Python knows the gradient of a leaf only while somebody looks at it, so it is asked for.
    """
    tensors = list(_tensors(snapshot))
    known = {id(entrance.value) for entrance in tensors}
    gradients = (_gradient(tensor) for tensor, _ in snapshot.tensors)
    return tensors + [g for g in gradients if g is not None and id(g.value) not in known]


def _tensors(snapshot: Snapshot) -> Iterator[Entrance]:
    for tensor, index in snapshot.tensors:
        try:
            node = None if _IS_LEAF.__get__(tensor) else _GRAD_FN.__get__(tensor)
        except RuntimeError:
            continue  # A view that was spoiled by a change in place: torch refuses its graph.
        if node is not None:
            yield Entrance("tensor", tensor, node, snapshot.references[index])


def _gradient(tensor: torch.Tensor) -> Entrance | None:
    # Asking anything but a leaf for its gradient would warn.
    if not _IS_LEAF.__get__(tensor) or not _REQUIRES_GRAD.__get__(tensor):
        return None
    gradient = _GRAD.__get__(tensor)
    node = None if gradient is None else _GRAD_FN.__get__(gradient)
    return None if node is None else Entrance("gradient", gradient, node, 0, tensor)
