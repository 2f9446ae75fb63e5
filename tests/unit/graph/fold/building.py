"""Graphs made by hand, for the tests of the folding passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import (
    Edge,
    NodeKind,
    Parameter,
    Root,
    SavedTensor,
    Storage,
)
from inspect_autograd.graph.tables import EdgeTable, NodeTable
from inspect_autograd.graph.tensor_meta import TensorMeta
from inspect_autograd.graph.topology import topological_order

VECTOR = TensorMeta((4,), "float32")
SCALAR = TensorMeta((), "float32")


def build(
    edges: str | Iterable[Edge],
    names: str | Sequence[str],
    *,
    parameters: Mapping[int, str] | None = None,
    scopes: Mapping[int, str] | None = None,
    saved: Mapping[int, Sequence[int]] | None = None,
    receives: Mapping[int, TensorMeta] | None = None,
    cut_slots: Mapping[int, tuple[int, ...]] | None = None,
    none_slots: Mapping[int, int] | None = None,
    roots: Sequence[int] = (0,),
) -> Graph:
    """A graph from a short text.

    Args:
        edges: `"0>1 0>2 1>2"`; slots count up per source. Or Edge records.
        names: One per node, for example `"Sum Mul Leaf"`. `Leaf` makes an AccumulateGrad.
        parameters: Names of leaves by id.
        scopes: Recorded scopes by id.
        saved: Indices of storages by id; storage `i` has `10 ** i` bytes.
        receives: What a node receives; a vector of 4 by default.
        cut_slots: As in NodeTable.
        none_slots: How many None edges a node has behind the others.
        roots: Ids of the roots.
    """
    names = names.split() if isinstance(names, str) else list(names)
    size = len(names)
    edges = _parse(edges) if isinstance(edges, str) else list(edges)
    used = Counter(edge.source for edge in edges)
    kinds: list[NodeKind] = ["leaf" if name == "Leaf" else "op" for name in names]
    # Sequence numbers as if nodes had been created from the last id to the first.
    numbers = [None if kind == "leaf" else size - id for id, kind in enumerate(kinds)]
    storages = 1 + max((i for indices in (saved or {}).values() for i in indices), default=-1)
    table = NodeTable(
        names=["AccumulateGrad" if name == "Leaf" else name for name in names],
        kinds=kinds,
        sequence_nrs=numbers,
        receives=[((receives or {}).get(id, VECTOR),) for id in range(size)],
        input_slots=[
            used[id] + len((cut_slots or {}).get(id, ())) + (none_slots or {}).get(id, 0)
            for id in range(size)
        ],
        saved={
            id: tuple(SavedTensor("self", VECTOR, 16, i, "available") for i in indices)
            for id, indices in (saved or {}).items()
        },
        parameters={
            id: Parameter(tuple(filter(None, [(parameters or {}).get(id)])), VECTOR)
            for id, kind in enumerate(kinds)
            if kind == "leaf"
        },
        scopes=dict(scopes or {}),
        cut_slots=dict(cut_slots or {}),
    )
    return Graph(
        table,
        EdgeTable.from_edges(size, edges),
        roots=tuple(Root("", node, 0, VECTOR) for node in roots),
        storages=tuple(Storage(10**i) for i in range(storages)),
        scopes="recorded" if scopes else None,
    )


def _parse(text: str) -> list[Edge]:
    slots: Counter[int] = Counter()
    edges = []
    for item in text.split():
        source, target = map(int, item.split(">"))
        edges.append(Edge(source, slots[source], target, 0))
        slots[source] += 1
    return edges


def line(names: str | Sequence[str]) -> Graph:
    """One chain of nodes, each leading to the next."""
    names = names.split() if isinstance(names, str) else names
    return build((Edge(i, 0, i + 1, 0) for i in range(len(names) - 1)), names)


def labels(graph: Graph) -> list[str]:
    """Labels of all nodes, in the order of their ids."""
    return [node.label for node in graph.nodes]


def arrows(graph: Graph) -> dict[tuple[int, int], int]:
    """How many edges lead from which node to which, slots left aside."""
    counts: Counter[tuple[int, int]] = Counter()
    for edge in graph.edges:
        counts[edge.source, edge.target] += edge.count
    return dict(counts)


def is_acyclic(graph: Graph) -> bool:
    """Whether a topological order reaches every node."""
    return len(topological_order(graph.edge_table)) == len(graph)


def inner_edges(captured: Graph, folded: Graph) -> int:
    """How many edges of the captured graph have both ends in one node of kind `fold`."""
    inside = {
        member: node.id for node in folded.nodes if node.kind == "fold" for member in node.members
    }
    return sum(
        edge.source in inside and inside[edge.source] == inside.get(edge.target)
        for edge in captured.edges
    )


def shown_edges(graph: Graph) -> int:
    """How many captured edges the edges and links of a folded graph stand for."""
    links = (link for repeat in graph.repeats for link in repeat.links)
    return sum(edge.count for edge in (*graph.edges, *links))
