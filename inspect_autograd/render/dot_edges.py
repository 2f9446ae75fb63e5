"""The arrows of a picture: one per edge, with the slots named where they would be a riddle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..graph.graph import Graph
from ..graph.records import Edge
from .arrange import Arrangement
from .escape import quote
from .overlay import Overlay
from .style import LOOKS, REPEAT, TEXT

__all__ = ["connector_lines", "edge_lines", "far_leaves", "link_lines"]

MAX_PARALLEL = 3
"""Arrows drawn side by side between two boxes; more become one that says how many."""


def edge_lines(
    graph: Graph, arrangement: Arrangement, overlay: Overlay | None = None
) -> Iterator[str]:
    """DOT statements for the edges within a column."""
    edges, columns, spans = graph.edge_table, arrangement.columns, arrangement.spans
    usual = _usual_counts(graph)
    for id in range(len(graph)):
        start, stop = edges.starts[id], edges.starts[id + 1]
        groups: dict[int, list[int]] = {}
        for position in range(start, stop):
            target = edges.targets[position]
            if columns[id] == columns[target] and position not in arrangement.far:
                groups.setdefault(target, []).append(position)
        for target, group in groups.items():
            span = spans.get(group[0], 1)
            extra = f"minlen={span}" if span > 1 else ""
            for label, dress in _arrows(graph, group, usual, overlay):
                yield _arrow(f"n{id}", f"n{target}", label, _commas(extra, dress))


def connector_lines(
    graph: Graph, arrangement: Arrangement, overlay: Overlay | None = None
) -> Iterator[str]:
    """DOT statements for the edges from one column to another.

    Such an edge is interrupted: it ends at a numbered circle, and goes on from a circle of the
    same number. An arrow from the bottom of one column to the top of the next would have to run
    along all of it.
    """
    columns, rows = arrangement.columns, arrangement.rows
    usual = _usual_counts(graph)
    numbers: dict[int, int] = {}
    tops: dict[int, tuple[int, str]] = {}
    entries: set[str] = set()
    apart = _apart(graph, arrangement)
    leaving: dict[int, list[Edge]] = {}
    for (source, target), group in apart.items():
        if graph.node_table.kinds[target] != "leaf":
            leaving.setdefault(source, []).extend(graph.edges[position] for position in group)
    for (source, target), group in apart.items():
        if graph.node_table.kinds[target] == "leaf":
            continue
        if source not in numbers:
            numbers[source] = len(numbers) + 1
            tooltip = "goes on at the circle of this number"
            yield _circle(f"o{source}", str(numbers[source]), tooltip, TEXT)
            yield _arrow(f"n{source}", f"o{source}", "", _dress(overlay, "", leaving[source])[1])
        column = columns[target]
        entry = f"i{source}c{column}"
        if entry not in entries:
            entries.add(entry)
            name = graph.nodes[source].label
            yield _circle(entry, str(numbers[source]), f"comes from #{source} {name}", TEXT)
        tops[column] = min(tops.get(column, (rows[target], entry)), (rows[target], entry))
        for label, dress in _arrows(graph, group, usual, overlay):
            yield _arrow(entry, f"n{target}", label, _commas("weight=9", dress))
    if tops and graph.roots:
        # Columns stand from left to right, their tops at the same height.
        names = [f"r{graph.roots[0].node}", *(tops[column][1] for column in sorted(tops))]
        yield f"\t{{ rank=same; {' -> '.join(names)} [style=invis, weight=0] }}\n"


def far_leaves(
    graph: Graph, arrangement: Arrangement, overlay: Overlay | None = None
) -> Iterator[tuple[str, int, list[str]]]:
    """Uses of a leaf that is drawn far away: a key for its stand-in, the leaf, and the arrows."""
    usual = _usual_counts(graph)
    for (source, target), group in _apart(graph, arrangement).items():
        if graph.node_table.kinds[target] == "leaf":
            key = f"f{source}n{target}"
            arrows = _arrows(graph, group, usual, overlay)
            yield key, target, [_arrow(f"n{source}", key, *arrow) for arrow in arrows]


def _apart(graph: Graph, arrangement: Arrangement) -> dict[tuple[int, int], list[int]]:
    """The edges, by position, that are not drawn as one arrow from box to box."""
    edges, columns, far = graph.edge_table, arrangement.columns, arrangement.far
    groups: dict[tuple[int, int], list[int]] = {}
    for position, (source, target) in enumerate(zip(edges.sources, edges.targets, strict=True)):
        if columns[source] != columns[target] or position in far:
            groups.setdefault((source, target), []).append(position)
    return groups


def _usual_counts(graph: Graph) -> dict[int, tuple[int, int]]:
    """For each node of a repeated block, the block and how often it stands there.

    Every edge within the block counts so many times, which the frame around it says already.
    """
    usual = {}
    for index, repeat in enumerate(graph.repeats):
        for id in repeat.nodes:
            fold = graph.node_table.folds.get(id)
            usual[id] = (index, fold.count if fold else 1)
    return usual


def _arrows(
    graph: Graph,
    group: list[int],
    usual: dict[int, tuple[int, int]],
    overlay: Overlay | None,
) -> list[tuple[str, str]]:
    """The labels and further attributes of the arrows between two nodes."""
    return [_dress(overlay, label, edges) for label, edges in _labels(graph, group, usual)]


def _labels(
    graph: Graph, group: list[int], usual: dict[int, tuple[int, int]]
) -> list[tuple[str, list[Edge]]]:
    """What to write on the arrows between two nodes, and the edges that each stands for."""
    edges = [graph.edges[position] for position in group]
    source, target = edges[0].source, edges[0].target
    kinds = graph.node_table.kinds
    is_inside = usual.get(source) is not None and usual.get(source) == usual.get(target)
    unit = usual[source][1] if is_inside else 1

    def times(count: int) -> str:
        if count == unit:
            return ""
        return f"×{count // unit}" if count % unit == 0 else f"×{count}"

    is_folded = kinds[source] == "fold" or kinds[target] == "fold"
    if len(edges) > MAX_PARALLEL or is_folded:
        slots = {edge.target_slot for edge in edges}
        label = _output(graph, target, edges[0].target_slot) if len(slots) == 1 else ""
        return [(_join(label, times(sum(edge.count for edge in edges))), edges)]
    labels = []
    for edge in edges:
        label = _output(graph, target, edge.target_slot)
        if len(edges) > 1:
            label = " → ".join(filter(None, (f"input {edge.source_slot}", label)))
        labels.append((_join(label, times(edge.count)), [edge]))
    return labels


def _output(graph: Graph, target: int, slot: int) -> str:
    """Which output of the target, if it has several; a fold's slots mean nothing."""
    table = graph.node_table
    if table.kinds[target] == "fold" or len(table.receives[target]) < 2:
        return ""
    return f"output {slot}"


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _dress(overlay: Overlay | None, label: str, edges: Sequence[Edge]) -> tuple[str, str]:
    """The label of an arrow and its further attributes, with what an overlay says of its edges."""
    if overlay is None:
        return label, ""
    dress = overlay.dress_edges(edges)
    label = _join(label, dress.label)
    if not dress.tooltip:
        return label, dress.attributes
    tooltip = quote(*dress.tooltip)
    at_label = f"labeltooltip={tooltip}" if label else ""
    return label, _commas(dress.attributes, f"tooltip={tooltip}", at_label)


def _commas(*attributes: str) -> str:
    return ", ".join(filter(None, attributes))


def _arrow(source: str, target: str, label: str, extra: str) -> str:
    attributes = _commas(f'label=" {label}"' if label else "", extra)
    return f"\t{source} -> {target}{f' [{attributes}]' if attributes else ''}\n"


def link_lines(
    graph: Graph, arrangement: Arrangement, overlay: Overlay | None = None
) -> Iterator[str]:
    """DOT statements for the links of repeated blocks: from the end of one to the next one's top.

    They run against all other arrows, so they take no part in the layout.
    """
    columns = arrangement.columns
    style = f'style=dashed, color="{REPEAT}", fontcolor="{REPEAT}", fontsize=10'
    number = 0
    for repeat in graph.repeats:
        for link in repeat.links:
            text, dress = _dress(overlay, f"×{link.count}", [link])
            label = _commas(f'label=" {text}", {style}', dress)
            rest = _commas(style, dress)
            if columns[link.source] == columns[link.target]:
                yield f"\tn{link.source} -> n{link.target} [{label}, constraint=false]\n"
                continue
            # Letters, because the numbers go on elsewhere.
            name = chr(ord("A") + number % 26) * (number // 26 + 1)
            number += 1
            tooltip = f"from the end of one block to the beginning of the next, ×{link.count}"
            yield _circle(f"b{number}", name, tooltip, REPEAT)
            yield _circle(f"e{number}", name, tooltip, REPEAT)
            yield f"\tn{link.source} -> e{number} [{label}]\n"
            yield f"\tb{number} -> n{link.target} [{rest}]\n"


def _circle(key: str, name: str, tooltip: str, color: str) -> str:
    look = LOOKS["connector"]
    return (
        f"\t{key} [label=<<B>{name}</B>>, tooltip={quote(tooltip)}, shape={look.shape}, "
        f'style="{look.style}", fillcolor="{look.fill}", color="{color}", fontcolor="{color}", '
        'fontsize=9, margin="0.02,0.02", width=0.28, height=0.28]\n'
    )
