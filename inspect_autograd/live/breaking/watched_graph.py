"""Hook every node of a graph, so that a running pass can be stopped at any of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import torch

from ...graph.graph import Graph
from ...graph.records import Root
from ...graph.tables import NodeTable
from ..attributors import known_attributors
from ..describe import describe_nodes
from ..garbage_collector import collector_paused
from ..node_selection import name_nodes
from ..parameters import TensorNames
from ..private_torch import LiveNode, current_node
from ..tensor_meta import TensorMetaCache
from ..walk import LiveGraph, walk_graph
from .pause import Gradients

__all__ = ["Host", "WatchedGraph", "hook_graph"]


class Host(Protocol):
    """Decides what happens at a node."""

    def before(self, watched: WatchedGraph, id: int, received: Gradients) -> Gradients | None:
        """A node is about to run; what is returned takes the place of what it receives."""

    def after(
        self, watched: WatchedGraph, id: int, returned: Gradients, received: Gradients
    ) -> Gradients | None:
        """A node has run; what is returned takes the place of what it returned."""


class WatchedGraph:
    """A graph whose nodes are hooked. The hooks hold this, so this holds no node.

    Args:
        host: Is not kept alive.
        graph: The graph as plain records.
        roots: How to find the live root nodes again.
        shared_leaves: Ids of the AccumulateGrad nodes that the graph is not entered at. Other
            graphs may share them.

    Attributes:
        names: Per node, what a glob is compared with.
        reasons: The glob that each node is to be stopped at for.
    """

    def __init__(
        self,
        host: Host,
        graph: Graph,
        roots: Sequence[Callable[[], Any]],
        shared_leaves: frozenset[int],
    ) -> None:
        self._host = weakref.ref(host)
        self._roots = roots
        self.graph = graph
        self.shared_leaves = shared_leaves
        self.names: list[tuple[str, ...]] = []
        self.reasons: Mapping[int, str] = {}

    def before(self, id: int, received: Gradients) -> Gradients | None:
        """The hook before a node."""
        host = self._host()
        return None if host is None else host.before(self, id, received)

    def after(self, id: int, returned: Gradients, received: Gradients) -> Gradients | None:
        """The hook after a node."""
        host = self._host()
        return None if host is None else host.after(self, id, returned, received)

    def find_live(self, id: int, running: int) -> LiveNode | None:
        """The live node with an id; None where the graph cannot be reached any more.

        Args:
            id: Which one.
            running: The one that runs in this thread.
        """
        path = self.graph.path(running, id)
        if path:
            return self._follow([node.id for node in path])
        tensors = [find() for find in self._roots]
        if any(tensor is None for tensor in tensors):
            return None
        # The walk numbers them as it did before, since nodes do not change.
        live = walk_graph([tensor.grad_fn for tensor in tensors])
        return live.nodes[id] if len(live.nodes) == len(self.graph) else None

    def _follow(self, path: Sequence[int]) -> LiveNode | None:
        """The live node at the end of a path from the running one."""
        edges, node = self.graph.edge_table, current_node()
        for source, target in pairwise(path):
            if node is None:
                return None
            position = edges.targets.index(target, edges.starts[source])
            node = node.next_functions[edges.source_slots[position]][0]
        return node


def hook_graph(
    host: Host,
    roots: Sequence[tuple[LiveNode, Any]],
    names: TensorNames,
    *,
    with_values: bool,
) -> tuple[WatchedGraph, LiveGraph, Callable[[list[Any]], None]]:
    """Describe the graph behind some nodes.

    Args:
        host: Is told of each node.
        roots: Each node with the tensor that it was found at, or None.
        names: Names of tensors.
        with_values: Whether what nodes return is wanted, too.

    Returns:
        The graph; its live nodes, to be let go of soon; and a function that hooks them, and adds
        what removes the hooks to a list.
    """
    with collector_paused():
        live = walk_graph([node for node, _ in roots])
        table = _attribute(live, describe_nodes(live, TensorMetaCache(), names, None))
    starts = {live.ids[node] for node, _ in roots}
    graph = Graph(
        node_table=table,
        edge_table=live.edges,
        roots=tuple(Root("", id, 0, None) for id in sorted(starts)),
        torch_version=torch.__version__,
    )
    leaves = {id for id, kind in enumerate(table.kinds) if kind == "leaf"}
    found = [_weak(tensor) for _, tensor in roots]
    watched = WatchedGraph(host, graph, found, frozenset(leaves - starts))
    scopes = table.scopes
    watched.names = [
        (*own, scopes[id]) if scopes.get(id) else own
        for id, own in enumerate(name_nodes(live.nodes, names))
    ]

    def put(handles: list[Any]) -> None:
        for id, node in enumerate(live.nodes):
            handles.append(node.register_prehook(partial(watched.before, id)))
            if with_values:
                handles.append(node.register_hook(partial(watched.after, id)))

    return watched, live, put


def _weak(tensor: Any) -> Callable[[], Any]:
    if isinstance(tensor, torch.Tensor) and tensor.grad_fn is not None:
        return weakref.ref(tensor)
    return lambda: None


def _attribute(live: LiveGraph, table: NodeTable) -> NodeTable:
    """The nodes as the first recording knows them that knows the line of one."""
    for attributor in known_attributors():
        found = attributor.attribute_live(live, table)
        if any(creation.source is not None for creation in found.creations.values()):
            return found
    return table
