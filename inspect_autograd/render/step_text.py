"""Steps of a pass, and where it stands, as text."""

from __future__ import annotations

from collections.abc import Sequence

from ..events.engine_state import (
    Delivery,
    EngineState,
    GradientPart,
    GradientView,
    NodeStatus,
    StepRecord,
)
from ..graph.graph import Graph
from ..graph.records import Node
from ..graph.tensor_meta import format_bytes
from .escape import visible
from .gradient_text import gradient_text

__all__ = ["node_label", "state_text", "status_text", "step_text", "view_text"]

MAX_LISTED = 8


def node_label(graph: Graph, id: int) -> str:
    """What to call a node: `#3 MulBackward0`, `#7 AccumulateGrad fc.weight`."""
    node: Node = graph.nodes[id]
    name = node.parameter.name if node.parameter is not None else None
    return visible(f"#{id} {node.name}" + (f" {name}" if name else ""))


def view_text(view: GradientView | None) -> str:
    """A gradient with its first values: `f32[4] |15| = 0 4 8 12`."""
    if view is None:
        return "none"
    text = gradient_text(view.stats)
    if not view.values:
        return text
    values = " ".join(map(_number, view.values))
    return f"{text} = {values}{'' if view.is_whole else ' …'}"


def step_text(step: StepRecord) -> str:
    """A step as a few lines: the node, what it received from where, and what it returned."""
    graph = step.graph
    lines = [f"step {step.index}: {node_label(graph, step.node)}"]
    node = graph.nodes[step.node]
    if node.source is not None:
        lines.append(f"  made at {visible(str(node.source))}")
    lines += _received_lines(graph, step.received, step.parts)
    if not step.ran:
        lines.append("  not run: what it received is the gradient that was asked for")
    elif node.kind == "leaf":
        lines.append("  this is the gradient of the leaf")
    for delivery in step.returned:
        lines += _returned_lines(graph, delivery)
    if step.ready:
        lines.append(f"  ready now: {_labels(graph, step.ready)}")
    return "\n".join(lines)


def state_text(state: EngineState) -> str:
    """The queue, the nodes that wait, and what is held."""
    graph = state.graph
    lines = [f"after {_count(state.position, 'step')}"]
    if state.queue:
        lines.append(f"  queue    {_labels(graph, state.queue)}")
    else:
        lines.append("  queue    empty: the pass is over")
    lines += [
        f"  waits    {node_label(graph, waiting.node)} for {waiting.missing} of "
        f"{_count(waiting.missing + waiting.arrived, 'gradient')}, from "
        f"{_labels(graph, waiting.missing_from)}"
        for waiting in state.waiting[:MAX_LISTED]
    ]
    if len(state.waiting) > MAX_LISTED:
        lines.append(f"  waits    and {len(state.waiting) - MAX_LISTED} more nodes")
    lines.append(
        f"  held     {_count(state.buffers, 'gradient')}, {format_bytes(state.buffer_bytes)}"
    )
    leaves = _labels(graph, state.leaves) if state.leaves else "none yet"
    lines.append(f"  leaves   {leaves}")
    return "\n".join(lines)


def status_text(status: NodeStatus) -> str:
    """What has arrived at a node, and what has not."""
    graph = status.graph
    said: str = status.status
    if status.step is not None:
        said = f"executed in step {status.step}"
    elif status.status == "pruned":
        said = "pruned: no input whose gradient is wanted lies behind it"
    lines = [f"{node_label(graph, status.node)}: {said}"]
    lines += _received_lines(graph, status.received, status.parts)
    if status.missing:
        lines.append(
            f"  waits for {_count(status.missing, 'gradient')} from "
            f"{_labels(graph, status.missing_from)}"
        )
    return "\n".join(lines)


def _received_lines(
    graph: Graph, received: Sequence[GradientView | None], parts: Sequence[GradientPart]
) -> list[str]:
    lines = []
    for slot, view in enumerate(received):
        label = "received" if len(received) == 1 else f"received {slot}"
        came = [part for part in parts if part.slot == slot]
        if len(came) == 1:
            lines.append(f"  {label} {view_text(view)} from {_origin(graph, came[0])}")
            continue
        lines.append(f"  {label} {view_text(view)}" + (", the sum of" if came else ""))
        lines += [
            f"    {view_text(part.gradient)} from {_origin(graph, part)}"
            for part in came[:MAX_LISTED]
        ]
        if len(came) > MAX_LISTED:
            lines.append(f"    and {len(came) - MAX_LISTED} more")
    return lines


def _origin(graph: Graph, part: GradientPart) -> str:
    if part.source is None:
        return "the start of the pass"
    return node_label(graph, part.source)


def _returned_lines(graph: Graph, delivery: Delivery) -> list[str]:
    if delivery.target is None:
        return []  # An input that needs no gradient.
    text = f"  returned {view_text(delivery.gradient)} to {node_label(graph, delivery.target)}"
    return [text if delivery.is_kept else f"{text}, which does not run"]


def _labels(graph: Graph, ids: Sequence[int]) -> str:
    labels = ", ".join(node_label(graph, id) for id in ids[:MAX_LISTED])
    more = len(ids) - MAX_LISTED
    return f"{labels}, and {more} more" if more > 0 else labels


def _number(value: complex) -> str:
    return f"{value:.4g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
