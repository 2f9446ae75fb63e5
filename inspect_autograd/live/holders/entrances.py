"""The tensors and nodes of a snapshot through which graphs may be held."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ...graph.tensor_meta import TensorMeta
from ..private_torch import LiveNode, use_count
from ..tensor_meta import TensorMetaCache
from .frames import FrameScan
from .referrers import find_referrers
from .safe_access import is_kind_of
from .snapshot import Snapshot

__all__ = ["Entrance", "bytes_of", "describe_plainly", "find_entrances"]

# The descriptors of torch itself: a subclass may have properties of the same name.
_GRAD_FN: Any = torch.Tensor.grad_fn
_GRAD: Any = torch.Tensor.grad
_REQUIRES_GRAD: Any = torch.Tensor.requires_grad
_NBYTES: Any = torch.Tensor.nbytes
_OF_META: dict[str, Any] = {
    name: getattr(torch.Tensor, name) for name in ("shape", "dtype", "device", "layout")
}


@dataclass(slots=True)
class Entrance:
    """Something that leads into a graph.

    Attributes:
        value: A tensor that carries a graph, or a node.
        node: The node that it leads to.
        references: How many references Python had to it, besides ours and that of C++.
        leaf: If it is the gradient of a leaf, that leaf.
    """

    value: Any
    node: LiveNode
    references: int = 0
    leaf: torch.Tensor | None = None

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor and not a node."""
        return self.value is not self.node


def find_entrances(snapshot: Snapshot, frames: FrameScan) -> tuple[list[Entrance], int]:
    """Every tensor that carries a graph, every gradient that does, and every node in use.

    Python knows the gradient of a leaf only while somebody looks at it, so it is asked for.

    Returns:
        These, and of how many tensors torch refuses to give the graph: views that were spoiled by
        a change in place.
    """
    by_id: dict[int, Entrance] = {}
    refused = 0
    gradients: list[tuple[torch.Tensor, torch.Tensor]] = []
    for tensor, index in snapshot.tensors:
        try:
            node = _GRAD_FN.__get__(tensor)
        except RuntimeError:
            refused += 1
            continue
        if node is not None:
            references = snapshot.references(index) - (use_count(tensor) > 1)
            by_id[id(tensor)] = Entrance(tensor, node, references)
        elif _REQUIRES_GRAD.__get__(tensor):
            gradient = _GRAD.__get__(tensor)  # Of anything but a leaf, torch would warn.
            if gradient is not None:
                gradients.append((tensor, gradient))
    for leaf, gradient in gradients:
        node = _GRAD_FN.__get__(gradient)
        if node is not None:
            by_id.setdefault(id(gradient), Entrance(gradient, node)).leaf = leaf
    return [*by_id.values(), *_nodes(snapshot, frames)], refused


def _nodes(snapshot: Snapshot, frames: FrameScan) -> Iterator[Entrance]:
    """The nodes that a variable or an object holds; there may be a million that nobody holds."""
    ids = set(map(id, snapshot.nodes))
    held = ids.intersection(frames.variables)
    for parent in find_referrers(snapshot.nodes, snapshot):
        if not is_kind_of(parent, torch.Tensor):  # A tensor refers to its own node.
            held |= ids.intersection(map(id, gc.get_referents(parent)))
    yield from (Entrance(node, node) for node in snapshot.nodes if id(node) in held)


class _Plain:
    """A tensor as torch itself sees it, without what its class makes of it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def __getattr__(self, name: str) -> Any:
        return _OF_META[name].__get__(self._tensor)


def describe_plainly(tensor: torch.Tensor, metas: TensorMetaCache) -> TensorMeta:
    """Shape and dtype; no property of a subclass runs."""
    plain: Any = _Plain(tensor)
    return metas.describe(plain)


def bytes_of(tensor: torch.Tensor) -> int | None:
    """Bytes of its elements; None where torch does not tell."""
    try:
        count: int = _NBYTES.__get__(tensor)
    except (RuntimeError, NotImplementedError):
        return None
    return count if type(count) is int else None  # Not a symbolic one.
