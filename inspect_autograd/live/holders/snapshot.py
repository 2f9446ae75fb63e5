"""All objects that the garbage collector tracks, at one moment."""

from __future__ import annotations

import gc
import sys
import types
from array import array
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Literal

import torch

from ..private_torch import LiveNode
from ..stepping_stones import SteppingStone
from .safe_access import class_dict, mro

__all__ = ["Snapshot", "kind_of_type", "take_snapshot"]

Kind = Literal["tensor", "node", "function node", "stone", "other"]


@dataclass(slots=True)
class Snapshot:
    """What was there. It holds everything strongly: drop it soon.

    Attributes:
        objects: All tracked objects.
        containers: Those that may hold a tensor: all but the nodes of torch, which only hold
            nodes.
        tensors: Those that are tensors, and where in `objects` they are.
        nodes: Those that are nodes, without AccumulateGrad: from torch 2.13 on, all nodes that were
            ever looked at.
        ours: Ids of objects of this package that hold nodes only so that they can be freed.
    """

    objects: list[object]
    _counts: array[int]
    containers: list[object] = field(default_factory=list)
    tensors: list[tuple[torch.Tensor, int]] = field(default_factory=list)
    nodes: list[LiveNode] = field(default_factory=list)
    ours: set[int] = field(default_factory=set)
    _index_of: dict[int, int] = field(default_factory=dict)

    def references(self, index: int) -> int:
        """How many references there were to an object besides our list."""
        return self._counts[index] - _OWN_REFERENCES

    @property
    def index_of(self) -> dict[int, int]:
        """Where in `objects` an object is, by its id; made when it is first asked for."""
        if not self._index_of:
            self._index_of = {id(value): index for index, value in enumerate(self.objects)}
        return self._index_of


# Besides the list: while `map` calls `getrefcount`, it holds the object itself too.
_OWN_REFERENCES = 2


def take_snapshot() -> Snapshot:
    """Take the list first, so that nothing that is made from here on is in it."""
    objects = gc.get_objects()
    counts = array("q", map(sys.getrefcount, objects))
    # By the id of the class, since a metaclass may have a hash of its own. Only what has a kind
    # is looked at one by one: in a process of a million objects, the others are what takes time.
    class_ids = array("Q", map(id, map(type, objects)))
    classes = dict(zip(class_ids, map(type, objects), strict=True))
    kinds = {key: kind for key, cls in classes.items() if (kind := kind_of_type(cls)) != "other"}
    snapshot = Snapshot(objects, counts)
    is_container = bytearray(b"\1") * len(objects)
    for index in compress(range(len(objects)), map(kinds.__contains__, class_ids)):
        value: Any = objects[index]
        kind = kinds[class_ids[index]]
        if kind == "tensor":
            snapshot.tensors.append((value, index))
            continue
        is_container[index] = kind == "function node"
        if kind == "stone":
            snapshot.ours.add(id(value))
            snapshot.ours.update(map(id, gc.get_referents(value)))
        elif type(value).__name__ != "AccumulateGrad":
            snapshot.nodes.append(value)
    snapshot.containers.extend(compress(objects, is_container))
    return snapshot


def kind_of_type(cls: type) -> Kind:
    """What instances of a class are, found out without running code of the class."""
    if cls is SteppingStone:
        return "stone"
    for base in mro(cls):
        if base is torch.Tensor:
            return "tensor"
        attributes: Any = class_dict(base)
        if (
            type(attributes.get("next_functions")) is types.GetSetDescriptorType
            and type(attributes.get("metadata")) is types.GetSetDescriptorType
        ):
            # Only the node of a Function of the user has a `__dict__`, its `ctx`.
            return "node" if len(mro(cls)) == 2 else "function node"
    return "other"
