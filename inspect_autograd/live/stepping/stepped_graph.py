"""The graph that is stepped through: live, and as records when somebody looks."""

from __future__ import annotations

from array import array
from functools import cached_property
from typing import Any

from ...graph.graph import Graph
from ...graph.topology import reverse_edges
from ..attributors import innermost_attributor
from ..capture import capture_live
from ..node_selection import name_nodes, select_by_glob, select_nodes
from ..parameters import TensorNames
from ..private_torch import LiveNode, tensor_hooks, unobserved
from ..roots import LiveRoot
from ..walk import LiveGraph, walk_graph

__all__ = ["SteppedGraph"]


class SteppedGraph:
    """Shared by a stepper and its steps; it knows neither, so that nothing goes round in a circle.

    Args:
        outputs: What the pass starts from.
        roots: The nodes of these.
        names: Names of parameters and inputs.

    Attributes:
        live: The live nodes, by id.
    """

    def __init__(self, outputs: Any, roots: list[LiveRoot], names: TensorNames) -> None:
        self._outputs = outputs
        self._names = names
        self.live: LiveGraph = walk_graph([root.node for root in roots])
        if innermost_attributor() is not None:
            _ = self.graph  # Lines and modules are known only as long as the block is open.

    @cached_property
    def graph(self) -> Graph:
        """The same nodes as records, with the same ids."""
        with unobserved():
            return capture_live(self._outputs, self._names).graph

    @cached_property
    def edges_by_target(self) -> tuple[array[int], array[int]]:
        """Which edges lead into each node; see `reverse_edges`."""
        return reverse_edges(self.live.edges)

    def select(self, wanted: Any, argument: str) -> frozenset[int]:
        """Ids of the nodes that an argument asks for; see `select_nodes`."""
        if isinstance(wanted, str):
            found = [node.id for node in self.graph.find(wanted)]
            return frozenset(found or select_by_glob(wanted, self._node_names, argument))
        return frozenset(select_nodes(wanted, self.live, self._node_names, argument))

    @cached_property
    def _node_names(self) -> list[tuple[str, ...]]:
        return name_nodes(self.live.nodes, self._names)

    def find_hooked_leaves(self) -> list[str]:
        """Names of the leaves with hooks that a pass of the real engine would run."""
        found = []
        for id, node in enumerate(self.live.nodes):
            leaf = getattr(node, "variable", None)
            if leaf is not None and tensor_hooks(leaf):
                names = self._names.of_leaf(leaf)
                found.append(names[0] if names else f"#{id} AccumulateGrad")
        return found

    def leaf(self, id: int) -> Any:
        """The tensor of an AccumulateGrad; None for another node."""
        node: LiveNode = self.live.nodes[id]
        return getattr(node, "variable", None)
