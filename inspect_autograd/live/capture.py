"""capture: from live tensors to a Graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ArgumentError, ArgumentTypeError
from ..graph.graph import Graph
from ..graph.records import Root, Truncation
from .attributors import Attributor, attribute_nodes
from .describe import describe_nodes
from .parameters import TensorNames, collect_names
from .private_torch import LiveNode, not_compiled, unobserved
from .roots import find_roots
from .saved import SavedTensorReader
from .tensor_meta import TensorMetaCache
from .walk import walk_graph

__all__ = ["LiveCapture", "capture", "capture_live"]


@dataclass(frozen=True, slots=True)
class LiveCapture:
    """A captured graph, and what of it is live; hold it no longer than needed.

    Attributes:
        graph: The graph.
        ids: Id of each live node.
        storages: Index in `graph.storages` of each storage that saved tensors look at, by the key
            of the storage.
    """

    graph: Graph
    ids: Mapping[LiveNode, int]
    storages: Mapping[int, int]


@not_compiled
def capture(
    outputs: Any,
    *,
    params: Any = None,
    saved: bool = True,
    max_nodes: int | None = None,
) -> Graph:
    """Walk the autograd graph behind tensors and describe it as plain records.

    Nothing of the program changes: no hook runs, no checkpoint is recomputed, no saved tensor is
    unpacked by user code, and the Graph keeps nothing alive. It works before and after
    `backward()`, at any depth, and on a graph that an in-place change has spoiled. Inside the
    block of a recording (`inspect_autograd.record`) nodes have their line and module.

    Args:
        outputs: A tensor with a `grad_fn`, a leaf that requires grad, a node, a
            `torch.autograd.graph.GradientEdge`, or any nest of these in lists, tuples, dicts,
            dataclasses and named tuples. Members without a graph become `Graph.notes`.
        params: Names for parameters, buffers and inputs: a module, a mapping of names to tensors
            (`state_dict()` is fine), or pairs of name and tensor.
        saved: Also describe the tensors that nodes save for backward.
        max_nodes: Stop after so many nodes; `Graph.truncation` tells what was cut.

    Returns:
        The graph, roots first; edges point from the loss to the leaves.

    Raises:
        NoGraphError: No tensor in `outputs` carries a graph; says why.
        ArgumentTypeError: `outputs` holds no tensor, or `params` is of the wrong kind.
        ArgumentError: `max_nodes` is less than 1.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.arange(4.0, requires_grad=True)
        >>> graph = ia.capture(2 * torch.dot(x, x), params={"x": x})
        >>> [node.name for node in graph.nodes]
        ['MulBackward0', 'DotBackward0', 'AccumulateGrad']
    """
    _check_max_nodes(max_nodes)
    with unobserved():
        return capture_live(outputs, collect_names(params), saved=saved, max_nodes=max_nodes).graph


def capture_live(
    outputs: Any,
    names: TensorNames,
    *,
    saved: bool = True,
    max_nodes: int | None = None,
    attributor: Attributor | None = None,
) -> LiveCapture:
    """The same as `capture`, with the live nodes; to be called inside `unobserved()`.

    Args:
        outputs: As for `capture`.
        names: Names of tensors.
        saved: As for `capture`.
        max_nodes: As for `capture`.
        attributor: A recording that is over and knows lines; by default one that is open is asked.
    """
    metas = TensorMetaCache()
    live_roots, notes = find_roots(outputs, metas)
    live = walk_graph([root.node for root in live_roots], max_nodes)
    reader = SavedTensorReader(metas, names) if saved else None
    nodes = describe_nodes(live, metas, names, reader)
    if attributor is None:
        recorded = attribute_nodes(live, nodes)
    else:
        recorded = attributor.attribute_live(live, nodes)
    cut_edges = sum(map(len, live.cut_slots.values()))
    graph = Graph(
        node_table=nodes if recorded is None else recorded,
        edge_table=live.edges,
        roots=tuple(Root(r.path, live.ids[r.node], r.slot, r.meta) for r in live_roots),
        notes=tuple(notes),
        storages=tuple(reader.storages) if reader else (),
        truncation=Truncation(max_nodes, cut_edges) if max_nodes and cut_edges else None,
        scopes=None if recorded is None else "recorded",
        torch_version=torch.__version__,
    )
    return LiveCapture(graph, live.ids, reader.storage_ids if reader else {})


def _check_max_nodes(max_nodes: Any) -> None:
    if max_nodes is None:
        return
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int):
        raise ArgumentTypeError(
            f"max_nodes is {max_nodes!r} of type {type(max_nodes).__name__}; "
            "expected a whole number or None",
            remedy="Leave it out to capture the whole graph.",
        )
    if max_nodes < 1:
        raise ArgumentError(
            f"max_nodes is {max_nodes}; expected 1 or more",
            remedy="Leave it out to capture the whole graph.",
        )
