"""Whether two graphs are the same, node by node and edge by edge."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.graph import Graph
from ..graph.records import Parameter
from .match_events import plain_name

__all__ = ["Structure", "compare_structure"]


@dataclass(frozen=True, slots=True)
class Structure:
    """How two graphs compare.

    Attributes:
        has_same_layout: Whether both have the same nodes, edges and leaf names, so that a node of
            one has the id of its counterpart. Leaves may differ in shape.
        text: `identical`, or the first difference in words.
    """

    has_same_layout: bool
    text: str


def compare_structure(a: Graph, b: Graph) -> Structure:
    """Compare names, kinds and edges of all nodes, then names and shapes of the leaves.

    A leaf without a name agrees with any name, as one of the graphs may have been captured
    without `params`.
    """
    text = _first_node(a, b) or _first_edge(a, b) or _first_leaf_name(a, b)
    if text:
        return Structure(False, text)
    return Structure(True, _first_leaf_shape(a, b) or "identical")


def _first_node(a: Graph, b: Graph) -> str:
    names_a, names_b = a.node_table.names, b.node_table.names
    kinds = zip(a.node_table.kinds, b.node_table.kinds, strict=False)
    counts = f"{len(a)} nodes in a, {len(b)} in b"
    pairs = zip(names_a, names_b, kinds, strict=False)
    for id, (name_a, name_b, (kind_a, kind_b)) in enumerate(pairs):
        if name_a != name_b:
            return f"node #{id} is {name_a} in a and {name_b} in b ({counts})"
        if kind_a != kind_b:
            return f"node #{id} {name_a} is of kind {kind_a} in a and {kind_b} in b ({counts})"
    if len(a) == len(b):
        return ""
    which, names = ("a", names_a) if len(a) > len(b) else ("b", names_b)
    start = min(len(a), len(b))
    return f"{which} goes on with node #{start} {names[start]} where the other ends ({counts})"


def _first_edge(a: Graph, b: Graph) -> str:
    edges_a, edges_b = a.edge_table, b.edge_table
    same = (
        edges_a.starts == edges_b.starts
        and edges_a.source_slots == edges_b.source_slots
        and edges_a.targets == edges_b.targets
        and edges_a.target_slots == edges_b.target_slots
    )
    if same:
        return ""
    for id, name in enumerate(a.node_table.names):
        ends_a, ends_b = _edges_of(a, id), _edges_of(b, id)
        if ends_a != ends_b:
            slot = min(s for s in ends_a.keys() | ends_b.keys() if ends_a.get(s) != ends_b.get(s))
            there_a, there_b = (_describe_end(ends.get(slot)) for ends in (ends_a, ends_b))
            return f"slot {slot} of node #{id} {name} leads to {there_a} in a and {there_b} in b"
    return ""


def _edges_of(graph: Graph, id: int) -> dict[int, tuple[int, int]]:
    edges = graph.edge_table
    return {
        edges.source_slots[p]: (edges.targets[p], edges.target_slots[p])
        for p in range(edges.starts[id], edges.starts[id + 1])
    }


def _describe_end(end: tuple[int, int] | None) -> str:
    return "nothing" if end is None else f"#{end[0]} (slot {end[1]})"


def _first_leaf_name(a: Graph, b: Graph) -> str:
    there = b.node_table.parameters
    for id, leaf in sorted(a.node_table.parameters.items()):
        other = there.get(id)
        if other is None or not leaf.names or not other.names:
            continue
        if not {*map(plain_name, leaf.names)} & {*map(plain_name, other.names)}:
            return f"leaf #{id} is {leaf.name} in a and {other.name} in b"
    return ""


def _first_leaf_shape(a: Graph, b: Graph) -> str:
    there = b.node_table.parameters
    for id, leaf in sorted(a.node_table.parameters.items()):
        other = there.get(id)
        if other is not None and _shape(leaf) != _shape(other):
            name = f" ({leaf.name or other.name})" if leaf.name or other.name else ""
            return f"leaf #{id}{name} is {leaf.meta} in a and {other.meta} in b"
    return ""


def _shape(leaf: Parameter) -> tuple[object, str]:
    return leaf.meta.shape, leaf.meta.dtype
