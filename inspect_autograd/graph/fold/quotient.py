"""The folded graph: what every folding pass ends in.

A pass says which nodes become one (a `Box`) and which blocks are shown once (a `Run`); from that
the new graph is built here: new ids in the order of discovery, merged edges, and all that the
old graph carried, put on the new nodes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from ..records import Edge, FoldBy, FoldNote, Repeat, Root
from ..tables import EdgeTable
from .rows import Box, merge_rows

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["Box", "Run", "quotient"]

_Counts: TypeAlias = dict[tuple[int, int, int, int], int]
"""How many edges there are with these source, source slot, target and target slot."""


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks of one shape that are to be shown once.

    Attributes:
        label: For example `layers.0 … layers.11 ×12`.
        names: Of the blocks, in forward order.
        blocks: Node ids of each block, in forward order; what stands at one place in all of them
            is alike. The first block gives the names of the nodes.
        scope: See `Repeat.scope`.
        scopes: New scope of the node at each place.
    """

    label: str
    names: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    scope: str | None
    scopes: tuple[str | None, ...]


@dataclass(slots=True)
class _Numbering:
    """Old ids to new ones, and back."""

    new_id: array[int]
    members: list[Sequence[int]]
    boxes: dict[int, Box]

    def has_slots(self, node: int) -> bool:
        """Whether the slots of a new node mean what those of its members meant."""
        box = self.boxes.get(node)
        return box is None or box.representative is not None

    def move_edge(self, edges: EdgeTable, position: int) -> tuple[int, int, int, int]:
        """The ends and slots of an old edge in the new graph."""
        source, target = self.new_id[edges.sources[position]], self.new_id[edges.targets[position]]
        return (
            source,
            edges.source_slots[position] if self.has_slots(source) else 0,
            target,
            edges.target_slots[position] if self.has_slots(target) else 0,
        )


def quotient(
    graph: Graph, boxes: Sequence[Box], *, by: FoldBy, text: str, runs: Sequence[Run] = ()
) -> Graph:
    """The graph with the nodes of every box, and the copies of every run, made one.

    Args:
        graph: Is not changed.
        boxes: Disjoint, not empty, members in ascending order. Folding each into one node must
            leave no cycle; this is not checked.
        by: The pass.
        text: What it did, for the FoldNote.
        runs: Disjoint from the boxes and from one another.

    Returns:
        `graph` itself if there is nothing to fold.
    """
    runs = [run for run in runs if len(run.blocks) > 1]
    boxes = [box for box in boxes if len(box.members) > 1]
    boxes.extend(box for run in runs for box in _boxes_of(run))
    if not boxes:
        return graph
    numbering = _number(graph, boxes)
    edges, links = _merge_edges(graph, numbering, runs)
    entries = _find_entries(graph, numbering)
    note = FoldNote(
        by=by,
        nodes_before=len(graph),
        nodes_after=len(numbering.members),
        edges_before=len(graph.edge_table),
        edges_after=len(edges),
        text=text,
    )
    return replace(
        graph,
        node_table=merge_rows(graph.node_table, numbering.members, numbering.boxes, entries),
        edge_table=edges,
        roots=tuple(_move_root(root, numbering, entries) for root in graph.roots),
        fold_notes=(*graph.fold_notes, note),
        repeats=(*_move_repeats(graph.repeats, numbering), *_new_repeats(runs, numbering, links)),
    )


def _boxes_of(run: Run) -> list[Box]:
    return [
        Box(
            members=tuple(sorted(nodes)),
            by="repeat",
            count=len(nodes),
            scope=scope,
            representative=nodes[0],
        )
        for nodes, scope in zip(zip(*run.blocks, strict=True), run.scopes, strict=True)
    ]


def _number(graph: Graph, boxes: Sequence[Box]) -> _Numbering:
    """Number the new nodes breadth first from the roots, as capturing does."""
    size = len(graph)
    box_of = array("q", [-1]) * size
    for index, box in enumerate(boxes):
        for node in box.members:
            box_of[node] = index
    new_id = array("q", [-1]) * size
    members: list[Sequence[int]] = []
    new_boxes: dict[int, Box] = {}

    def discover(node: int) -> None:
        index = box_of[node]
        if index < 0:
            new_id[node] = len(members)
            members.append((node,))
            return
        box = boxes[index]
        for member in box.members:
            new_id[member] = len(members)
        new_boxes[len(members)] = box
        members.append(box.members)

    starts, targets = graph.edge_table.starts, graph.edge_table.targets
    done = 0
    # Every node is an origin in the end: a graph made by hand may have parts without a root.
    for origin in (*(root.node for root in graph.roots), *range(size)):
        if new_id[origin] >= 0:
            continue
        discover(origin)
        while done < len(members):
            for member in members[done]:
                for target in targets[starts[member] : starts[member + 1]]:
                    if new_id[target] < 0:
                        discover(target)
            done += 1
    return _Numbering(new_id, members, new_boxes)


def _merge_edges(
    graph: Graph, numbering: _Numbering, runs: Sequence[Run]
) -> tuple[EdgeTable, list[_Counts]]:
    """The edges between new nodes, and for each run those from one copy to another."""
    old = graph.edge_table
    place = {
        node: (index, copy)
        for index, run in enumerate(runs)
        for copy, block in enumerate(run.blocks)
        for node in block
    }
    merged: _Counts = {}
    links: list[_Counts] = [{} for _ in runs]
    for position in range(len(old)) if runs else _find_outer_edges(graph, numbering):
        into = merged
        if place:
            run, copy = place.get(old.sources[position], (-1, 0))
            other_run, other_copy = place.get(old.targets[position], (-2, 0))
            if run == other_run and copy != other_copy:
                into = links[run]
        key = numbering.move_edge(old, position)
        if key[0] != key[2] or into is not merged:
            into[key] = into.get(key, 0) + (1 if old.counts is None else old.counts[position])
    ordered = sorted(merged)
    counts = array("q", map(merged.__getitem__, ordered))
    table = EdgeTable.from_columns(
        len(numbering.members),
        sources=[key[0] for key in ordered],
        source_slots=[key[1] for key in ordered],
        targets=[key[2] for key in ordered],
        target_slots=[key[3] for key in ordered],
        counts=counts if any(count != 1 for count in counts) else None,
    )
    return table, links


def _find_outer_edges(graph: Graph, numbering: _Numbering) -> list[int]:
    """Positions of the edges that do not end up inside one new node."""
    new_id = numbering.new_id
    sources = map(new_id.__getitem__, graph.edge_table.sources)
    targets = map(new_id.__getitem__, graph.edge_table.targets)
    return [i for i, (a, b) in enumerate(zip(sources, targets, strict=True)) if a != b]


def _find_entries(graph: Graph, numbering: _Numbering) -> dict[int, set[int]]:
    """For every box that becomes a fold: the members that gradients enter by."""
    new_id = numbering.new_id
    entries: dict[int, set[int]] = {
        node: set() for node, box in numbering.boxes.items() if box.representative is None
    }
    for root in graph.roots:
        if new_id[root.node] in entries:
            entries[new_id[root.node]].add(root.node)
    if entries:
        targets = graph.edge_table.targets
        for target in (targets[position] for position in _find_outer_edges(graph, numbering)):
            if new_id[target] in entries:
                entries[new_id[target]].add(target)
    return entries


def _move_root(root: Root, numbering: _Numbering, entries: dict[int, set[int]]) -> Root:
    node = numbering.new_id[root.node]
    # The slots of a fold are those of its entry, if it has just one.
    keeps_slot = node not in entries or len(entries[node]) == 1
    return replace(root, node=node, slot=root.slot if keeps_slot else 0)


def _move_repeats(repeats: Sequence[Repeat], numbering: _Numbering) -> list[Repeat]:
    """The runs of earlier passes, with the new ids; one that is lost in a box is left out."""
    if not repeats:
        return []
    new_id = numbering.new_id
    moved = []
    for repeat in repeats:
        inside = set(repeat.nodes)
        nodes = sorted(
            node
            for node in {new_id[old] for old in inside}
            if inside.issuperset(numbering.members[node])
        )
        whole = set(nodes)
        links: _Counts = {}
        old = EdgeTable.from_edges(len(new_id), repeat.links)
        for position in range(len(old)):
            key = numbering.move_edge(old, position)
            if key[0] != key[2] or key[0] in whole:
                count = 1 if old.counts is None else old.counts[position]
                links[key] = links.get(key, 0) + count
        if nodes:
            moved.append(replace(repeat, nodes=tuple(nodes), links=_as_edges(links)))
    return moved


def _new_repeats(
    runs: Sequence[Run],
    numbering: _Numbering,
    links: Sequence[_Counts],
) -> list[Repeat]:
    return [
        Repeat(
            label=run.label,
            scopes=run.names,
            links=_as_edges(own),
            nodes=tuple(sorted(numbering.new_id[node] for node in run.blocks[0])),
            scope=run.scope,
        )
        for run, own in zip(runs, links, strict=True)
    ]


def _as_edges(counted: _Counts) -> tuple[Edge, ...]:
    return tuple(Edge(*key, count=count) for key, count in sorted(counted.items()))
