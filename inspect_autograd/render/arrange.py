"""Where boxes go, as far as the layout has to be told.

Graphviz is good at placing boxes once it is told two things that it cannot know:

- What follows a module belongs below all of it, its parameters included. Else the frames of two
  modules in a row share a height, have to stand side by side, and a deep network becomes a
  staircase.
- A graph that is much deeper than wide is read in columns, like a newspaper.

All words here are those of a picture that goes down. In one that goes to the right, a row stands
upright, and what would be columns are lines, one below the other, like those of a text.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt

from ..graph.graph import Graph
from ..graph.topology import topological_order

__all__ = ["Arrangement", "arrange"]

# Sizes of the usual box in points, with the room around it, enough to tell tall from wide.
ROW_HEIGHT = 58
BOX_PITCH = 46
"""From box to box in an upright row."""
CHAR_WIDTH = 7
BOX_MARGIN = 40
EDGE_WIDTH = 12
MAX_LENGTH = 1500
"""A picture that is no longer, along its arrows, is never broken into columns."""
MAX_RATIO = 2.2
"""Nor one that is no more than so many times longer than wide."""
WANTED_RATIO = 1.1
MIN_LENGTH = 700
"""A column is no shorter, else a chain of a dozen boxes to the right becomes a block of text."""
MAX_CUT_SOURCES = 8
"""A column does not end where the arrows of more boxes than this would be interrupted."""
MANY_LEAVES = 12
"""More leaves of one node than this do not stand in one row."""
FAR_ROWS = 12
"""An arrow to a leaf that is used in several places is drawn over so many rows at most."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What the layout is told.

    Attributes:
        spans: For edges (by position in the edge table) that lead out of a cluster, how many rows
            they have to span at least; 1 where nothing is said.
        far: Edges (by position) whose leaf is drawn far away, next to another node that uses it.
            A weight that is used at each of 100 steps would else be at the end of 100 arrows
            across the whole picture.
        rows: Row of each node, as the layout will number them or nearly so.
        columns: Column of each node.
        column_count: Number of columns.
        load: How many boxes there are, and places where an arrow passes through a row: what the
            time for the layout depends on.
    """

    spans: dict[int, int]
    far: set[int]
    rows: Sequence[int]
    columns: Sequence[int]
    column_count: int
    load: int


def arrange(
    graph: Graph, places: Sequence[tuple[str | int, ...]], *, to_the_right: bool = False
) -> Arrangement:
    """Work out spans and columns; linear in the size of the graph.

    Args:
        graph: The graph.
        places: For each node the frames around it, as `clusters.find_places` says.
        to_the_right: Whether arrows go from left to right, not down.
    """
    order = topological_order(graph.edge_table)
    paths, parents = _number_frames(places)
    spans = _spans(graph, order, paths, parents)
    _stagger_leaves(graph, spans)
    rows = _rows(graph, order, spans)
    far = _far_edges(graph, rows)
    crossing = _crossings(graph, rows, far)
    length, width = _size(graph, rows, crossing, to_the_right=to_the_right)
    count = _count_columns(length, width)
    cuts = _cuts(rows, crossing, _frames_open_at(rows, paths, parents), count)
    column_of_row = array("q", bytes(8 * (max(rows, default=0) + 1)))
    for cut in cuts:
        column_of_row[cut] += 1
    for row in range(1, len(column_of_row)):
        column_of_row[row] += column_of_row[row - 1]
    columns = array("q", (column_of_row[row] for row in rows))
    edges = graph.edge_table
    load = len(graph) + sum(
        rows[target] - rows[source]
        for position, (source, target) in enumerate(zip(edges.sources, edges.targets, strict=True))
        if position not in far and columns[source] == columns[target]
    )
    return Arrangement(spans, far, rows, columns, len(cuts) + 1, load)


def _number_frames(places: Sequence[tuple[str | int, ...]]) -> tuple[list[int], list[int]]:
    """Innermost frame of each node, and the frame around each frame; 0 is no frame."""
    numbers: dict[tuple[str | int, ...], int] = {(): 0}
    parents = [0]
    paths = []
    for place in places:
        for depth in range(1, len(place) + 1):
            if place[:depth] not in numbers:
                numbers[place[:depth]] = len(parents)
                parents.append(numbers[place[: depth - 1]])
        paths.append(numbers[place])
    return paths, parents


def _outer(cluster: int, parents: Sequence[int]) -> list[int]:
    """A cluster and all clusters around it."""
    result = []
    while cluster:
        result.append(cluster)
        cluster = parents[cluster]
    return result


def _spans(
    graph: Graph, order: Sequence[int], paths: Sequence[int], parents: Sequence[int]
) -> dict[int, int]:
    """How far the end of an edge has to be below its start, to be below the frame it leaves."""
    edges = graph.edge_table
    frames = [_outer(cluster, parents) for cluster in range(len(parents))]
    # Row of each node, counted from the top of each cluster that it is in.
    inner: list[dict[int, int]] = [dict.fromkeys(frames[paths[id]], 0) for id in range(len(graph))]
    bottoms: Counter[int] = Counter()
    for id in order:
        mine = inner[id]
        for cluster, row in mine.items():
            bottoms[cluster] = max(bottoms[cluster], row)
        if not mine:
            continue
        for target in edges.targets[edges.starts[id] : edges.starts[id + 1]]:
            other = inner[target]
            for cluster, row in mine.items():
                if cluster in other and other[cluster] <= row:
                    other[cluster] = row + 1
    spans = {}
    for position, (source, target) in enumerate(zip(edges.sources, edges.targets, strict=True)):
        if paths[source] == paths[target]:
            continue
        left = [c for c in inner[source] if c not in inner[target]]
        span = max((bottoms[c] - inner[source][c] + 1 for c in left), default=1)
        if span > 1:
            spans[position] = span
    return spans


def _stagger_leaves(graph: Graph, spans: dict[int, int]) -> None:
    """Put the leaves of a node that has many into several rows, like bricks."""
    edges, kinds = graph.edge_table, graph.node_table.kinds
    uses = Counter(edges.targets)
    for id in range(len(graph)):
        start, stop = edges.starts[id], edges.starts[id + 1]
        if stop - start <= MANY_LEAVES:
            continue
        leaves = [
            position
            for position in range(start, stop)
            if kinds[edges.targets[position]] == "leaf" and uses[edges.targets[position]] == 1
        ]
        row_count = max(1, round(sqrt(len(leaves)) / 2))
        for index, position in enumerate(leaves):
            if index % row_count:
                spans[position] = spans.get(position, 1) + index % row_count


def _rows(graph: Graph, order: Sequence[int], spans: dict[int, int]) -> array[int]:
    """Row of each node, as the layout will number them or nearly so."""
    edges = graph.edge_table
    rows = array("q", bytes(8 * len(graph)))
    is_entered = bytearray(len(graph))
    for id in order:
        for position in range(edges.starts[id], edges.starts[id + 1]):
            target = edges.targets[position]
            is_entered[target] = 1
            rows[target] = max(rows[target], rows[id] + spans.get(position, 1))
    for id in order:
        # A second root is drawn right above what it leads to, not beside the first one.
        if not is_entered[id] and edges.starts[id] < edges.starts[id + 1]:
            rows[id] = min(
                rows[edges.targets[position]] - spans.get(position, 1)
                for position in range(edges.starts[id], edges.starts[id + 1])
            )
    return rows


def _far_edges(graph: Graph, rows: Sequence[int]) -> set[int]:
    edges, kinds = graph.edge_table, graph.node_table.kinds
    return {
        position
        for position, (source, target) in enumerate(zip(edges.sources, edges.targets, strict=True))
        if kinds[target] == "leaf" and rows[target] - rows[source] > FAR_ROWS
    }


def _size(
    graph: Graph, rows: Sequence[int], crossing: Sequence[int], *, to_the_right: bool
) -> tuple[float, float]:
    """About how long the picture is along its arrows, and how wide across them, in points."""
    table = graph.node_table
    boxes = [CHAR_WIDTH * min(len(name), 44) + BOX_MARGIN for name in table.names]
    across = [EDGE_WIDTH * count for count in crossing]
    if not to_the_right:
        for box, row in zip(boxes, rows, strict=True):
            across[row] += box
        return ROW_HEIGHT * len(across), max(across, default=0)
    along = [0] * len(across)
    for box, row in zip(boxes, rows, strict=True):
        across[row] += BOX_PITCH
        along[row] = max(along[row], box)
    return sum(along), max(across, default=0)


def _count_columns(length: float, width: float) -> int:
    if length <= MAX_LENGTH or length <= MAX_RATIO * width:
        return 1
    count = round(sqrt(length / (WANTED_RATIO * width)))
    return max(2, min(count, int(length / MIN_LENGTH)))


def _cuts(
    rows: Sequence[int], crossing: Sequence[int], framed: Sequence[int], count: int
) -> list[int]:
    """The rows that begin a new column."""
    last = max(rows, default=0)
    cuts: list[int] = []
    for number in range(1, count):
        ideal = (last + 1) * number // count
        reach = max((last + 1) // (3 * count), 1)
        window = range(max(ideal - reach, (cuts or [0])[-1] + 2), min(ideal + reach, last) + 1)
        best = min(
            window,
            key=lambda row: 3 * crossing[row] + 4 * framed[row] + 4 * abs(row - ideal) / reach,
            default=None,
        )
        if best is not None and crossing[best] <= MAX_CUT_SOURCES:
            cuts.append(best)
    return cuts


def _crossings(graph: Graph, rows: Sequence[int], far: set[int]) -> list[int]:
    """For each row, how many nodes above it have arrows that end in it or below."""
    edges = graph.edge_table
    ends = [*rows]
    for position, (source, target) in enumerate(zip(edges.sources, edges.targets, strict=True)):
        if position not in far:
            ends[source] = max(ends[source], rows[target])
    return _cover(zip(rows, ends, strict=True), max(rows, default=0))


def _frames_open_at(rows: Sequence[int], paths: Sequence[int], parents: Sequence[int]) -> list[int]:
    """For each row, how many clusters begin above it and end in it or below."""
    tops: dict[int, int] = {}
    bottoms: dict[int, int] = {}
    for id, row in enumerate(rows):
        cluster = paths[id]
        tops[cluster] = min(tops.get(cluster, row), row)
        bottoms[cluster] = max(bottoms.get(cluster, row), row)
    # A cluster has a higher number than the one around it.
    for cluster in sorted(tops, reverse=True):
        parent = parents[cluster]
        while parent:
            tops[parent] = min(tops.get(parent, tops[cluster]), tops[cluster])
            bottoms[parent] = max(bottoms.get(parent, 0), bottoms[cluster])
            parent = parents[parent]
    return _cover(((tops[c], bottoms[c]) for c in tops if c), max(rows, default=0))


def _cover(intervals: Iterable[tuple[int, int]], last: int) -> list[int]:
    """How many of the intervals begin above each row and reach it."""
    changes = [0] * (last + 2)
    for top, bottom in intervals:
        changes[top + 1] += 1
        changes[bottom + 1] -= 1
    return [*accumulate(changes)][: last + 1]
