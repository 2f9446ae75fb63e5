"""What kind of tensor somebody called backward() on, as its graph tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from ..graph.graph import Graph
from ..graph.records import Node
from ..graph.tensor_meta import TensorMeta
from .scene import Scene, TensorFacts

__all__ = ["Kind", "Leaf", "OutputKind", "find_leaves", "find_output_kind", "reduced_dims"]

Kind = Literal["empty", "gathered", "unreduced", "per sample", "dim", "joined", "prediction", "any"]
NEAR = 6
"""How many nodes behind the output are looked at."""

_SAME_SHAPE = (
    "MulBackward*", "DivBackward*", "AddBackward*", "SubBackward*", "NegBackward*",
    "WhereBackward*", "ViewBackward*", "ReshapeAliasBackward*", "UnsafeViewBackward*",
    "SqueezeBackward*", "UnsqueezeBackward*", "ToCopyBackward*", "CloneBackward*",
    "MaskedFillBackward*",
)  # fmt: skip
"""What people do to the losses of samples: weights, masks, casts."""

_PREDICTIONS = (
    "Addmm*", "Mm*", "Bmm*", "Mv*", "Linear*", "Convolution*", "*Softmax*", "Sigmoid*",
    "NativeBatch*", "NativeLayerNorm*", "Relu*", "Gelu*", "*Pool*", "Embedding*",
    "*Attention*", "UnsafeView*",
)  # fmt: skip


@dataclass(frozen=True)
class OutputKind:
    """What an output seems to be.

    Attributes:
        kind: `empty`; `gathered` from the devices of a DataParallel; an `unreduced` loss
            (`reduction="none"`); `per sample` values computed by hand; reduced over some `dim`
            only; several numbers `joined` by stack or cat; a `prediction` instead of a loss; `any`.
        node: The node that tells.
    """

    kind: Kind
    node: Node | None = None


@dataclass(frozen=True)
class Leaf:
    """A tensor that a gradient would have reached."""

    name: str
    meta: TensorMeta


def find_output_kind(scene: Scene, output: TensorFacts) -> OutputKind:
    """The kind of an output that is no single number."""
    if output.meta.numel == 0:
        return OutputKind("empty")
    if scene.graph is None or output.node is None:
        return OutputKind("any")
    node = scene.graph.nodes[output.node]
    for near in _same_elements(scene.graph, node):
        if near.name.startswith("GatherBackward"):
            return OutputKind("gathered", near)
        if near.attributes.get("reduction") == 0 and "Loss" in near.name + "Loss" * _is_bce(near):
            return OutputKind("unreduced", near)
    if node.name.startswith(("StackBackward", "CatBackward")) and (
        node.input_slots == output.meta.numel
    ):
        return OutputKind("joined", node)
    if _dims(node):
        return OutputKind("dim", node)
    if any(fnmatch(node.name, pattern) for pattern in _PREDICTIONS):
        return OutputKind("prediction", node)
    if _is_per_sample(scene, output):
        return OutputKind("per sample", node)
    return OutputKind("any", node)


def reduced_dims(node: Node) -> tuple[int, ...]:
    """The dimensions that a node's forward function reduced; empty if it reduced none, or all."""
    return _dims(node)


def find_leaves(scene: Scene, without: tuple[str, ...] = ()) -> list[Leaf]:
    """The leaves of the graph behind the call, with the user's names where these are known.

    Args:
        scene: Its graph and variables.
        without: Names of variables that are known to be none of them.
    """
    if scene.graph is None:
        return []
    known = [
        (name, facts)
        for frame in reversed(scene.frames)
        for name, facts in frame.tensors.items()
        if facts.requires_grad and facts.is_leaf and name not in without
    ]
    found = []
    for node in scene.graph.leaves():
        parameter = node.parameter
        if parameter is None:
            continue
        same = [n for n, facts in known if facts.meta.shape == parameter.meta.shape]
        fallback = same[0] if len(set(same)) == 1 else ""
        found.append(Leaf(parameter.name or fallback, parameter.meta))
    return found


def _is_bce(node: Node) -> bool:
    return node.name.startswith("BinaryCrossEntropy")


def _same_elements(graph: Graph, node: Node) -> Iterator[Node]:
    """The node, and those behind it that work on as many elements, one after the other."""
    for _ in range(NEAR):
        yield node
        if not any(fnmatch(node.name, pattern) for pattern in _SAME_SHAPE):
            return
        size = _numel(node)
        behind = [near for near in graph.next_nodes(node) if _numel(near) == size != 1]
        behind = [near for near in behind if near.kind != "leaf"]
        if not behind:
            return
        node = behind[0]


def _numel(node: Node) -> int | None:
    meta = node.receives[0] if node.receives else None
    return None if meta is None else meta.numel


def _dims(node: Node) -> tuple[int, ...]:
    reduces = node.name.startswith(
        ("Sum", "Mean", "Amax", "Amin", "Max", "Min", "Norm", "LinalgVectorNorm", "Logsumexp",
         "Prod", "Var", "Std", "Median")
    )  # fmt: skip
    if not reduces:
        return ()
    dim = node.attributes.get("dim")
    if isinstance(dim, bool) or dim is None:
        return ()
    dims = dim if isinstance(dim, tuple) else (dim,)
    return tuple(d for d in dims if isinstance(d, int))


def _is_per_sample(scene: Scene, output: TensorFacts) -> bool:
    """Whether other tensors of the failing function have the same first dimension, and more."""
    shape, frame = output.meta.shape, scene.user_frame
    if not shape or frame is None or len(shape) != 1:
        return False
    return any(
        facts.meta.shape is not None
        and len(facts.meta.shape) > 1
        and facts.meta.shape[0] == shape[0]
        and not facts.is_parameter
        for facts in frame.tensors.values()
    )
