"""Walk the nodes of a live autograd graph: breadth first, without recursion, each node once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, repeat

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
    out_degrees: list[int] = []
    source_slots: list[int] = []
    targets: list[int] = []
    target_slots: list[int] = []
    cut_slots: dict[int, tuple[int, ...]] = {}
    try:
        for node in nodes:  # The list grows while it is read.
            slot = 0
            before = len(targets)
            for next_node, input_nr in node.next_functions:
                if next_node is not None:
                    id = ids.get(next_node)
                    if id is None and len(nodes) < limit:
                        id = ids[next_node] = len(nodes)
                        nodes.append(next_node)
                    if id is None:
                        here = len(input_slots)
                        cut_slots[here] = (*cut_slots.get(here, ()), slot)
                    else:
                        source_slots.append(slot)
                        targets.append(id)
                        target_slots.append(input_nr)
                slot += 1
            input_slots.append(slot)
            out_degrees.append(len(targets) - before)
    finally:
        visited = len(out_degrees)
        out_degrees.extend(repeat(0, len(nodes) - visited))
        count = sum(out_degrees)
        edges = EdgeTable(
            _running_sum(out_degrees),
            array("q", chain.from_iterable(map(repeat, range(len(nodes)), out_degrees))),
            array("q", source_slots[:count]),
            array("q", targets[:count]),
            array("q", target_slots[:count]),
        )
        unvisited = range(visited, len(nodes))
        numbers = sequence_nrs(nodes)
        plant_stepping_stones(nodes, numbers, edges, boundary=[*cut_slots, *unvisited])
    return LiveGraph(nodes, ids, numbers, input_slots, edges, cut_slots)


def _running_sum(counts: list[int]) -> array[int]:
    total = array("q", [0])
    last = 0
    for count in counts:
        last += count
        total.append(last)
    return total
