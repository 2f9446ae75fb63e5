"""The pass that `inspect-autograd step` steps through: its outputs, gradients, inputs, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import TargetError
from ..graph.execution_order import ExecutionOrder, execution_order
from ..live.node_selection import name_nodes, select_by_glob
from ..live.parameters import collect_names
from ..live.private_torch import LiveNode, input_metadata
from ..live.recording.recorder import record
from ..live.roots import LiveRoot, find_roots
from ..live.stepping.stepper import Stepper, step
from ..live.tensor_meta import TensorMetaCache
from ..live.walk import LiveGraph, walk_graph
from .target import run_target

__all__ = ["Started", "start"]

NESTED = "is a nested tensor"


@dataclass(frozen=True, slots=True)
class Started:
    """A pass before its first node.

    Attributes:
        target: What the user calls it.
        stepper: Runs it.
        live: Its live nodes, by id.
        order: The order that is foretold.
        names: Names of leaves that are no nodes of the graph, by the id of the tensor.
        kept: Tensors that must not go, or another one would get their id.
    """

    target: str
    stepper: Stepper
    live: LiveGraph
    order: ExecutionOrder
    names: Mapping[int, str]
    kept: Sequence[Any]


def start(target: str, inputs: str | None, *, ones: bool) -> Started:
    """Run the code of a target, and stand before the first node of its backward pass.

    Args:
        target: As on the command line.
        inputs: A glob for nodes and parameters; only what leads to them runs.
        ones: Start with ones for every element of what the code makes.

    Raises:
        TargetError: The target is not code, makes nothing with a graph, or no single number.
        ArgumentError: The glob matches nothing.
        UserCodeError: The code raised an error.
    """
    # So that lines and modules are known. Only as long as the block is open, which is enough.
    with (
        record(stats="off", saved=False, effects=False),
        run_target(target, "its nodes are run one at a time") as made,
    ):
        names = collect_names(made.params)
        roots, _ = find_roots(made.outputs, TensorMetaCache())
        live = walk_graph([root.node for root in roots])
        ids = None if inputs is None else _find_inputs(inputs, live, made.params)
        stepper = step(
            made.outputs,
            _gradients(roots, target, ones=ones),
            None if ids is None else _places(ids, live),
            params=names,
        )
        order = execution_order(stepper.graph, inputs=ids)
    known = {id(tensor): name for name, tensor in reversed(made.params)}
    return Started(target, stepper, live, order, known, made.params)


def _find_inputs(pattern: str, live: LiveGraph, params: Any) -> list[int]:
    return select_by_glob(pattern, name_nodes(live.nodes, collect_names(params)), "--inputs")


def _places(ids: Sequence[int], live: LiveGraph) -> list[Any]:
    """What the engine calls an input: the tensor of a leaf, else each output of a node."""
    places: list[Any] = []
    for id in ids:
        node = live.nodes[id]
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            places.append(leaf)
            continue
        slots = range(len(_entries(node)))
        places += [torch.autograd.graph.GradientEdge(node, slot) for slot in slots]
    return places


def _gradients(roots: Sequence[LiveRoot], target: str, *, ones: bool) -> list[Any]:
    """What the pass starts with; None where a single number implies it."""
    gradients: list[Any] = []
    for root in roots:
        like = root.tensor if root.tensor is not None else _entries(root.node)[root.slot]
        found = _why_not_implied(like)
        if found == NESTED or (found and not ones):
            more = "" if found == NESTED else ", or add --gradient ones, which starts with ones"
            raise TargetError(
                f"{target}{root.path} {found}; a backward pass starts from one real number",
                remedy=f"Let the code end in one, such as y.sum(){more}.",
            )
        if root.tensor is not None and ones:
            gradients.append(torch.ones_like(root.tensor.detach()))
        elif ones:
            gradients.append(torch.ones(like.shape, dtype=like.dtype, device=like.device))
        else:
            gradients.append(None)
    return gradients


def _why_not_implied(like: Any) -> str:
    """What a root is, if not one real number; `like` has shape and type of a tensor."""
    if isinstance(like, torch.Tensor) and like.is_nested:
        return NESTED
    if getattr(like, "is_nested_tensor", False):
        return NESTED
    count = torch.Size(like.shape).numel()
    if count != 1:
        return f"has {count} numbers (shape {list(like.shape)})"
    return "" if like.dtype.is_floating_point else f"is of type {like.dtype}"


def _entries(node: LiveNode) -> Any:
    (entries,) = input_metadata([node])
    return entries
