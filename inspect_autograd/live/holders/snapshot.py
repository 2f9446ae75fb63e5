"""All objects that the garbage collector tracks, at one moment."""

from __future__ import annotations

import gc
import sys
import types
from array import array
from dataclasses import dataclass, field
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
        references: Of each of these, how many references there were besides our list.
        containers: Those that may hold a tensor: all but the nodes of torch, which only hold
            nodes.
        tensors: Those that are tensors, and where in `objects` they are.
        nodes: Those that are nodes, without AccumulateGrad: from torch 2.13 on, all nodes that were
            ever looked at.
        ours: Ids of objects of this package that hold nodes only so that they can be freed.
    """

    objects: list[object]
    references: array[int]
    containers: list[object] = field(default_factory=list)
    tensors: list[tuple[torch.Tensor, int]] = field(default_factory=list)
    nodes: list[LiveNode] = field(default_factory=list)
    ours: set[int] = field(default_factory=set)
    _index_of: dict[int, int] = field(default_factory=dict)

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
    references = array("q", map(sys.getrefcount, objects))
    snapshot = Snapshot(objects, array("q", [n - _OWN_REFERENCES for n in references]))
    kinds: dict[int, Kind] = {}  # By id, since a metaclass may have a hash of its own.
    add_container = snapshot.containers.append
    for index, value in enumerate(objects):
        cls = type(value)
        kind = kinds.get(id(cls)) or kinds.setdefault(id(cls), kind_of_type(cls))
        if kind == "other":
            add_container(value)
        elif kind == "tensor":
            snapshot.tensors.append((value, index))
            add_container(value)
        elif kind == "stone":
            snapshot.ours.add(id(value))
            snapshot.ours.update(map(id, gc.get_referents(value)))
        else:
            if kind == "function node":
                add_container(value)
            if cls.__name__ != "AccumulateGrad":
                snapshot.nodes.append(value)
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
