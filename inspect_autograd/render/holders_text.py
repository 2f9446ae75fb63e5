"""Live graphs and their holders as text: a row per graph, then what it looks like."""

from __future__ import annotations

from collections.abc import Iterator

from ..graph.holders import GraphHolders, HeldGraph, HeldTensor
from ..graph.tensor_meta import format_bytes
from .escape import shorten, visible
from .gradient_flow_text import align

__all__ = ["render_holders"]

MAX_GRAPHS = 12
MAX_TENSORS = 3
MAX_PATTERNS = 8
MAX_CHARS = 160
"""Rows and characters in the text; the records have all of it."""
SHOWN_OF_CONTAINER = 2
"""Graphs shown of those that one list holds: they are mostly alike."""

_HEADER = ("graph", "nodes", "saved", "through", "made at", "held by")


def render_holders(found: GraphHolders) -> str:
    """What `print(found)` shows."""
    shown = list(_shown_graphs(found))
    rows = [row for graph in shown for row in _rows(graph)]
    parts = [
        _headline(found),
        align(_HEADER, rows) if rows else "",
        "\n".join(_patterns(found)),
        "\n".join([*_left_out(found, len(shown)), *_notes(found, shown)]),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(found: GraphHolders) -> str:
    if not found.graphs:
        return "no live autograd graph"
    count = len(found.graphs)
    kept = format_bytes(found.parameter_bytes)
    leaves = f", beside {kept} of leaves, which are there anyway" if found.parameter_bytes else ""
    saved = format_bytes(found.saved_bytes)
    return f"{count} live autograd graph{'s' * (count > 1)}; saved for backward: {saved}{leaves}"


def _shown_graphs(found: GraphHolders) -> Iterator[HeldGraph]:
    alike = {
        id
        for pattern in found.patterns
        if pattern.kind == "container"
        for id in pattern.graphs[SHOWN_OF_CONTAINER:]
    }
    shown = [graph for graph in found.graphs if graph.id not in alike]
    yield from shown[:MAX_GRAPHS]


def _rows(graph: HeldGraph) -> Iterator[list[str]]:
    first = [str(graph.id), str(graph.node_count), _saved(graph)]
    for tensor in graph.tensors[:MAX_TENSORS]:
        for row in _tensor_rows(tensor):
            yield [*first, *row]
            first = ["", "", ""]
    left = len(graph.tensors) - MAX_TENSORS
    if left > 0:
        yield ["", "", "", f"… and {left} more", "", ""]
    if not graph.tensors:
        yield [*first, "", "", "nothing that Python sees"]


def _saved(graph: HeldGraph) -> str:
    packed = f" + {graph.packed_count} packed" if graph.packed_count else ""
    freed = f" ({graph.freed_nodes} freed)" if graph.freed_nodes else ""
    return format_bytes(graph.saved_bytes) + packed + freed


def _tensor_rows(tensor: HeldTensor) -> Iterator[list[str]]:
    source = None if tensor.creation is None else tensor.creation.source
    first = [
        shorten(visible(str(tensor)), MAX_CHARS // 2),
        "" if source is None else visible(source.short),
    ]
    for holder in tensor.holders:
        yield [*first, shorten(visible(holder.text), MAX_CHARS)]
        first = ["", ""]
    if tensor.more_holders:
        yield [*first, f"… and {tensor.more_holders} more holders"]


def _patterns(found: GraphHolders) -> Iterator[str]:
    for pattern in found.patterns[:MAX_PATTERNS]:
        ids = ", ".join(map(str, pattern.graphs[:3])) + (", …" if len(pattern.graphs) > 3 else "")
        graphs = f"graph{'s' * (len(pattern.graphs) > 1)} {ids}"
        yield f"{graphs}: {visible(pattern.text)}"
        yield f"  → {visible(pattern.hint)}"
    left = len(found.patterns) - MAX_PATTERNS
    if left > 0:
        yield f"… and {left} more; GraphHolders.patterns has all"


def _left_out(found: GraphHolders, shown: int) -> Iterator[str]:
    left = len(found.graphs) - shown
    if left > 0:
        yield f"… and {left} more graph{'s' * (left > 1)}; GraphHolders.graphs has all"
    if found.left_out:
        count = found.left_out
        yield f"left out: {count} graph{'s' * (count > 1)} with less than min_bytes"


def _notes(found: GraphHolders, shown: list[HeldGraph]) -> Iterator[str]:
    if any(graph.freed_nodes for graph in shown):
        yield "freed: nodes whose saved tensors a backward pass has freed"
    tensors = [tensor for graph in shown for tensor in graph.tensors[:MAX_TENSORS]]
    if tensors and not any(tensor.creation for tensor in tensors):
        yield (
            "for the lines that made the graphs: with inspect_autograd.record() as recording: ...; "
            "inspect_autograd.graph_holders(recording=recording)"
        )
    yield from (f"note: {visible(note)}" for note in found.notes)
