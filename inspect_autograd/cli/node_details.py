"""All that is known of one node, as text and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..graph.graph import Graph
from ..graph.records import Edge, Node, SavedTensor
from ..graph.tensor_meta import format_bytes
from ..render.escape import visible
from ..render.origin_text import scope_text
from ..render.table import format_table

__all__ = ["describe_node_fully", "node_data"]

MAX_ROWS = 40
MAX_VALUE_CHARS = 200
KINDS = {
    "op": "an operation of PyTorch",
    "leaf": "a leaf: here the gradient is added to the .grad of a tensor",
    "custom": "a torch.autograd.Function",
    "cpp-custom": "a Function of a C++ extension",
    "compiled": "made by torch.compile",
    "fold": "several nodes shown as one",
}

Row = tuple[str, ...]


def node_data(graph: Graph, node: Node) -> dict[str, Any]:
    """A node as plain data, with its edges in both directions."""
    return {
        **{name: getattr(node, name) for name in Node.__slots__},
        "label": node.label,
        "next": _edges_from(graph, node),
        "previous": _edges_to(graph, node),
    }


def describe_node_fully(graph: Graph, node: Node) -> str:
    """A node as text: what it receives, keeps, and passes on, and to which nodes."""
    title = _name(node)
    if node.label != node.name:
        title += f" ({node.name})"
    sections = [visible(title), _section("", list(_facts(node)))]
    sections += [
        _section(heading, rows)
        for heading, rows in (
            ("receives gradients, one per output of its forward function", _received(node)),
            ("from", [_incoming(graph, edge) for edge in _edges_to(graph, node)]),
            ("passes gradients on, one per input of its forward function", _outgoing(graph, node)),
            ("saved for backward", [_saved(tensor) for tensor in node.saved]),
            ("attributes", [(name, _short(value)) for name, value in node.attributes.items()]),
            ("stands for", [(name, f"×{n}") for name, n in node.fold.names] if node.fold else []),
        )
        if rows
    ]
    return "\n\n".join(sections)


def _section(heading: str, rows: Sequence[Row]) -> str:
    lines = format_table(rows[:MAX_ROWS]).splitlines()
    if len(rows) > MAX_ROWS:
        lines.append(f"… and {len(rows) - MAX_ROWS} more")
    if not heading:
        return "\n".join(lines)
    return "\n".join([heading, *(f"  {line}" for line in lines)])


def _facts(node: Node) -> Iterator[Row]:
    yield "kind", KINDS[node.kind]
    if node.parameter is not None:
        yield "tensor", str(node.parameter.meta)
        yield "name", ", also ".join(node.parameter.names) or "none was given"
    yield from _origin(node)
    if node.sequence_nr is not None:
        yield "made", f"as number {node.sequence_nr}; backward runs higher numbers first"
    if node.order is not None and node.order > 1:
        yield "derivative", f"of order {node.order}: made while a backward pass ran"
    if node.origin not in (None, node.id):
        yield "captured as", f"#{node.origin}"


def _origin(node: Node) -> Iterator[Row]:
    """What made it: the call, the line, the module."""
    creation = node.creation
    if creation is not None:
        if creation.function is not None:
            yield "function", creation.function
        if creation.source is not None:
            yield "line", str(creation.source)
        for line in creation.stack:
            yield "inside PyTorch", str(line)
    if node.scope is not None:
        call = None if creation is None else creation.call
        yield "module", scope_text(node.scope) + ("" if call is None else f", call {call + 1}")
    if creation is not None:
        if creation.thread:
            yield "thread", creation.thread
        if creation.made_by:
            yield "made while", f"{creation.made_by} ran backward"
        if creation.reason:
            yield "not known", creation.reason


def _received(node: Node) -> list[Row]:
    return [
        (f"output {slot}", "none" if meta is None else str(meta))
        for slot, meta in enumerate(node.receives)
    ]


def _incoming(graph: Graph, edge: Edge) -> Row:
    source = graph.nodes[edge.source]
    return (
        _name(source),
        f"its input {edge.source_slot} is output {edge.target_slot} here",
        _times(edge),
    )


def _outgoing(graph: Graph, node: Node) -> list[Row]:
    rows = [
        (
            edge.source_slot,
            f"to {_name(graph.nodes[edge.target])}"
            + (f", its output {edge.target_slot}" if edge.target_slot else ""),
            _times(edge),
        )
        for edge in _edges_from(graph, node)
    ]
    rows += [(slot, "nowhere: it does not require grad", "") for slot in node.none_slots]
    rows += [(slot, "to a node that was not captured", "") for slot in node.cut_slots]
    # The slots of a fold are those of the nodes inside it.
    is_fold = node.kind == "fold"
    return [
        ("" if is_fold else f"input {slot}", where, times) for slot, where, times in sorted(rows)
    ]


def _saved(tensor: SavedTensor) -> Row:
    return (
        tensor.name,
        "?" if tensor.meta is None else str(tensor.meta),
        "" if tensor.bytes is None else format_bytes(tensor.bytes),
        f"memory of {', '.join(tensor.alias)}" if tensor.alias else "",
        "" if tensor.state == "available" else tensor.state.upper(),
    )


def _name(node: Node) -> str:
    return f"#{node.id} {node.label}"


def _times(edge: Edge) -> str:
    return "" if edge.count == 1 else f"×{edge.count}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 1]}…"


def _edges_from(graph: Graph, node: Node) -> list[Edge]:
    starts, edges = graph.edge_table.starts, graph.edges
    return [edges[position] for position in range(starts[node.id], starts[node.id + 1])]


def _edges_to(graph: Graph, node: Node) -> list[Edge]:
    return [
        edge
        for source in graph.previous_nodes(node)
        for edge in _edges_from(graph, source)
        if edge.target == node.id
    ]
