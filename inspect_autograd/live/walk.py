"""Walk the nodes of a live autograd graph: breadth first, without recursion, each node once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import sub

from ..graph.tables import EdgeTable
from .private_torch import LiveNode, sequence_nrs
from .stepping_stones import plant_stepping_stones

__all__ = ["LiveGraph", "walk_graph"]


@dataclass(slots=True)
class LiveGraph:
    """The live nodes of a graph and the edges between them, by index.

    It holds strong references to the nodes. They keep their Python identity meanwhile (up to
    torch 2.12 a node that nobody holds gets a new wrapper, maybe at a used address, each time).
    Drop it as soon as the records are made.

    Attributes:
        nodes: In the order of discovery.
        ids: Index of each node.
        sequence_nrs: Of each node; `NO_SEQUENCE_NR` for AccumulateGrad.
        input_slots: Length of each node's `next_functions`.
        edges: Edges between the nodes; None edges and cut ones are not among them.
        cut_slots: Per node, the slots whose edge leads to a node beyond `max_nodes`.
    """

    nodes: list[LiveNode]
    ids: dict[LiveNode, int]
    sequence_nrs: list[int]
    input_slots: list[int]
    edges: EdgeTable
    cut_slots: dict[int, tuple[int, ...]] = field(default_factory=dict)


def walk_graph(roots: Iterable[LiveNode], max_nodes: int | None = None) -> LiveGraph:
    """Walk from the roots along `next_functions`.

    Stepping stones are planted on the way out, also when the walk is interrupted: a deep graph
    that was touched from Python must not be left without them.

    Args:
        roots: Live nodes to start from; each becomes a node even beyond `max_nodes`.
        max_nodes: Visit no more nodes than this.
    """
    ids: dict[LiveNode, int] = {}
    for root in roots:
        ids.setdefault(root, len(ids))
    nodes = list(ids)
    limit = float("inf") if max_nodes is None else max(max_nodes, len(nodes))
    input_slots: list[int] = []
    targets: list[int] = []
    source_slots: list[int] = []
    input_nrs: dict[int, int] = {}  # Only what is not 0, which is rare.
    ends: list[int] = []
    cut_slots: dict[int, tuple[int, ...]] = {}
    id_of, add_target, add_slot = ids.get, targets.append, source_slots.append
    try:
        for node in nodes:  # The list grows while it is read.
            slot = -1
            for next_node, input_nr in node.next_functions:
                slot += 1
                if next_node is None:
                    continue
                id = id_of(next_node)
                if id is None:
                    if len(nodes) >= limit:
                        source = len(ends)
                        cut_slots[source] = (*cut_slots.get(source, ()), slot)
                        continue
                    id = ids[next_node] = len(nodes)
                    nodes.append(next_node)
                if input_nr:
                    input_nrs[len(targets)] = input_nr
                add_target(id)
                add_slot(slot)
            input_slots.append(slot + 1)
            ends.append(len(targets))
    finally:
        # Also after an interrupt, in the middle of a node: its edges are not counted then.
        unvisited = range(len(ends), len(nodes))
        edges = _make_edges(len(nodes), ends, source_slots, targets, input_nrs)
        numbers = sequence_nrs(nodes)
        plant_stepping_stones(nodes, numbers, edges, boundary=[*cut_slots, *unvisited])
    return LiveGraph(nodes, ids, numbers, input_slots, edges, cut_slots)


def _make_edges(
    node_count: int,
    ends: list[int],
    source_slots: list[int],
    targets: list[int],
    input_nrs: dict[int, int],
) -> EdgeTable:
    total = ends[-1] if ends else 0
    starts = array("q", chain([0], ends, repeat(total, node_count - len(ends))))
    degrees = map(sub, ends, starts)
    target_slots = array("q", bytes(8 * total))
    for position, input_nr in input_nrs.items():
        if position < total:
            target_slots[position] = input_nr
    return EdgeTable(
        starts=starts,
        sources=array("q", chain.from_iterable(map(repeat, range(node_count), degrees))),
        source_slots=array("q", source_slots[:total]),
        targets=array("q", targets[:total]),
        target_slots=target_slots,
    )
