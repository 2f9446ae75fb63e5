"""What can be known of a node from its type alone, found out once per type."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from typing import Any

import torch

from ..graph.records import NodeKind
from .private_torch import LiveNode, SavedAccess, saved_accesses

__all__ = ["NodeType", "describe_type", "is_node", "short_name"]


@dataclass(frozen=True, slots=True)
class NodeType:
    """How to describe the nodes of one type.

    Attributes:
        name: The name of all nodes of the type; None if each has to be asked for its own.
        kind: As in `Node.kind`.
        saved: How to read its saved tensors.
        attributes: How to read its other saved values.
    """

    name: str | None
    kind: NodeKind
    saved: tuple[SavedAccess, ...] = ()
    attributes: tuple[SavedAccess, ...] = ()

    @property
    def is_python(self) -> bool:
        """Whether it is a Python Function, which keeps tensors and values in its `ctx`."""
        return self.kind in ("custom", "compiled")


def is_node(value: Any) -> bool:
    """Whether a value is a live node.

    The nodes of C++ extensions are not instances of `torch.autograd.graph.Node`.
    """
    return isinstance(value, torch.autograd.graph.Node) or (
        not isinstance(value, type) and hasattr(value, "next_functions") and hasattr(value, "name")
    )


def describe_type(node_type: type) -> NodeType:
    """How to describe nodes of this type; found out once."""
    known = _known.get(node_type)
    if known is None:
        known = _known[node_type] = _describe_type(node_type)
    return known


# Classes of users come and go, with those of their nodes.
_known: weakref.WeakKeyDictionary[type, NodeType] = weakref.WeakKeyDictionary()


def _describe_type(node_type: type) -> NodeType:
    name = node_type.__name__
    if name == "AccumulateGrad":
        return NodeType(name, "leaf")
    if name == "CppFunction":
        # One type for everything that torch has no Python class for.
        return NodeType(None, "cpp-custom")
    if issubclass(node_type, torch.autograd.function.BackwardCFunction):
        return NodeType(name, "compiled" if name == "CompiledFunctionBackward" else "custom")
    accesses = saved_accesses(node_type)
    return NodeType(
        name,
        "op",
        saved=tuple(access for access in accesses if access.read_raw is not None),
        attributes=tuple(access for access in accesses if access.read_raw is None),
    )


def short_name(node: LiveNode) -> str:
    """`Node.name()` without C++ namespaces: `torch::autograd::CopySlices` is `CopySlices`.

    The Function of a C++ extension is `torch::autograd::CppNode<ns::Scale>` to torch; here it is
    `Scale`.
    """
    name: str = node.name()
    wrapped = re.fullmatch(r".*CppNode<(.*)>", name)
    return (wrapped[1] if wrapped else name).rsplit("::", 1)[-1]
