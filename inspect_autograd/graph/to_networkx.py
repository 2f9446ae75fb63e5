"""Conversion to networkx."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from ..errors import MissingDependencyError
from .records import Node

if TYPE_CHECKING:
    import networkx

    from .graph import Graph

__all__ = ["to_networkx"]


def to_networkx(graph: Graph) -> networkx.MultiDiGraph[int]:
    """A `networkx.MultiDiGraph` whose keys are node ids.

    Node attributes are the fields of `Node`; edge attributes are `source_slot`, `target_slot`
    and `count`, edge keys are the source slots. Graph attributes are `roots` and `torch_version`.

    Raises:
        MissingDependencyError: networkx is not installed.
    """
    try:
        import networkx
    except ImportError as error:
        raise MissingDependencyError(
            "to_networkx() needs networkx, which is not installed",
            remedy='Install it: pip install "inspect-autograd[networkx]"',
        ) from error
    result: networkx.MultiDiGraph[int] = networkx.MultiDiGraph(
        roots=graph.roots, torch_version=graph.torch_version
    )
    names = [field.name for field in fields(Node) if field.name != "id"]
    result.add_nodes_from(
        (node.id, {name: getattr(node, name) for name in names}) for node in graph.nodes
    )
    result.add_edges_from(
        (
            edge.source,
            edge.target,
            edge.source_slot,
            {
                "source_slot": edge.source_slot,
                "target_slot": edge.target_slot,
                "count": edge.count,
            },
        )
        for edge in graph.edges
    )
    return result
