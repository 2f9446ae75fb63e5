"""The texts of a prompt and of a report: where a pass stands, what is around a node."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence

from ...events.records import TensorStats
from ...graph.creation import SourceLine
from ...graph.graph import Graph
from ...graph.records import Node, SavedTensor
from ...graph.tensor_meta import format_bytes

__all__ = [
    "around_lines",
    "gradient_lines",
    "line_text",
    "node_text",
    "saved_lines",
    "where_lines",
]

MAX_NEIGHBOURS = 8
_STATES = {
    "packed": "packed by a hook, which is not run",
    "freed": "freed",
    "modified": "modified in place since it was saved",
}


def node_text(node: Node) -> str:
    """`#3 SoftmaxBackward0`; a leaf with the name of its parameter."""
    name = node.name if node.label == node.name else f"{node.name} of {node.label}"
    return f"#{node.id} {name}"


def gradient_lines(what: str, letter: str, stats: Sequence[TensorStats | None]) -> Iterator[str]:
    """`  received g0  f32[4] |1.41|` for each gradient.

    Args:
        what: `received` or `returned`.
        letter: What their names begin with.
        stats: Numbers about them.
    """
    if not stats:
        yield f"  {what}  nothing"
    for slot, known in enumerate(stats):
        note = f"  ({known.note})" if known is not None and known.note else ""
        yield f"  {what}  {letter}{slot}  {known}{note}"


def line_text(place: SourceLine | None) -> str:
    """`train.py:12 in Net.forward: y = x.softmax(-1)`."""
    if place is None:
        return "unknown"
    code = linecache.getline(place.file, place.line).strip()
    return f"{place.short} in {place.function}" + (f": {code}" if code else "")


def where_lines(
    node: Node, made: SourceLine | None, reason: str, called: SourceLine | None
) -> Iterator[str]:
    """Where a node comes from.

    Args:
        node: The node.
        made: The line that made it.
        reason: Why that is not known.
        called: The line that called backward.
    """
    yield node_text(node)
    if node.kind == "leaf":
        yield "  forward   a leaf: no line made its AccumulateGrad"
    elif made is None:
        yield f"  forward   {reason or 'unknown'}"
    else:
        yield f"  forward   {line_text(made)}"
    if node.scope is not None:
        yield f"  module    {node.scope or '(outermost)'}"
    yield f"  backward  {line_text(called)}"


def around_lines(graph: Graph, node: Node) -> Iterator[str]:
    """The nodes that send a gradient to a node, itself, and those it goes to."""
    senders, targets = graph.previous_nodes(node), graph.next_nodes(node)
    yield from _neighbours("up", senders)
    metas = ", ".join("None" if meta is None else str(meta) for meta in node.receives)
    yield f"  ->      {node_text(node)}  receives {metas or 'nothing'}"
    yield from _neighbours("down", targets)


def _neighbours(word: str, nodes: Sequence[Node]) -> Iterator[str]:
    for index, node in enumerate(nodes[:MAX_NEIGHBOURS]):
        yield f"  {f'{word} {index}':7} {node_text(node)}"
    if len(nodes) > MAX_NEIGHBOURS:
        yield f"  … {len(nodes) - MAX_NEIGHBOURS} more, up to {word} {len(nodes) - 1}"


def saved_lines(saved: Sequence[SavedTensor]) -> Iterator[str]:
    """What a node saved."""
    if not saved:
        yield "  it saved no tensor"
    for tensor in saved:
        parts = [
            tensor.name,
            "" if tensor.meta is None else str(tensor.meta),
            "" if tensor.bytes is None else format_bytes(tensor.bytes),
            _STATES.get(tensor.state, ""),
        ]
        yield "".join(f"  {part}" for part in parts if part)
