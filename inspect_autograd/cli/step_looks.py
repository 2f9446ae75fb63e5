"""What `inspect-autograd step` shows of nodes, lines and gradients."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from ..errors import ArgumentError
from ..events.pass_progress import PassProgress
from ..events.records import TensorStats
from ..graph.graph import Graph
from ..graph.records import Node
from ..live.breaking.namespace import read_saved
from ..live.breaking.pause import measure
from ..live.breaking.texts import line_text, saved_lines
from ..live.node_selection import find_closest
from ..live.private_torch import LiveNode
from ..live.stepping.step import Step
from ..render.escape import visible
from ..render.origin_text import scope_text
from ..render.step_screen import Line
from ..render.step_text import node_label
from .step_start import Started

__all__ = [
    "find_nodes",
    "gradient_lines",
    "names_for_print",
    "order_lines",
    "saved_lines_of",
    "source_lines",
    "where_lines_of",
]

AROUND = 3
"""So many lines are shown before and after the one that made a node."""
NOT_RECORDED = "not recorded: no line of the program made it while the target ran"


def find_nodes(graph: Graph, text: str) -> tuple[Node, ...]:
    """The nodes that a glob matches, or the one that an id names; at least one.

    Raises:
        ArgumentError: There is none.
    """
    if not text:
        raise ArgumentError("it names no node", remedy="Add a glob or an id, such as Mul* or #3.")
    number = text.removeprefix("#")
    if number.isascii() and number.isdigit():
        if int(number) >= len(graph):
            raise ArgumentError(
                f"there is no node #{int(number)}; ids go from #0 to #{len(graph) - 1}",
                remedy="order and graph show ids.",
            )
        return (graph.nodes[int(number)],)
    found = graph.find(text)
    if not found:
        names: Counter[str] = Counter()
        for node in graph.nodes:
            names.update((node.name, *(node.parameter.names if node.parameter else ())))
        raise ArgumentError(
            f"{text!r} matches none of the {len(graph)} nodes",
            remedy=f"The closest names are {', '.join(find_closest(text, names))}.",
        )
    return found


def order_lines(progress: PassProgress, count: int) -> list[Line]:
    """What runs next, as it is foretold."""
    coming, graph = progress.coming, progress.graph
    lines = [
        Line(f"{progress.state.position + place:>4}  {node_label(graph, id)}  ".rstrip())
        for place, id in enumerate(coming[:count])
    ]
    if len(coming) > count:
        lines.append(Line(f"      … and {len(coming) - count} more", "dim"))
    captured = [id for id in progress.only_captured if id not in progress.done]
    if captured:
        labels = ", ".join(node_label(graph, id) for id in captured[:8])
        more = f", and {len(captured) - 8} more" if len(captured) > 8 else ""
        lines.append(Line(f"not run, only taken when its gradient is there: {labels}{more}"))
    if progress.order.pruned:
        lines.append(Line(f"pruned: {len(progress.order.pruned)} of {len(graph)} nodes", "dim"))
    return lines or [Line("nothing is left to run: the pass is over")]


def gradient_lines(started: Started) -> list[tuple[str, TensorStats | None]]:
    """Name of each leaf or input of a pass, and numbers about its gradient so far."""
    stepper = started.stepper
    wanted = stepper.inputs
    return list(zip(_names_of(started, wanted), measure(stepper.gradients), strict=True))


def _names_of(started: Started, wanted: tuple[Any, ...]) -> Iterator[str]:
    graph, live = started.stepper.graph, started.live
    ids = {id(leaf): place for place, leaf in _leaves(live.nodes)}
    for value in wanted:
        if isinstance(value, torch.Tensor):
            place = ids.get(id(value))
            known = visible(started.names.get(id(value), "a leaf inside a node"))
            yield known if place is None else node_label(graph, place)
        else:
            slot = f", output {value.output_nr}" if value.output_nr else ""
            yield node_label(graph, live.ids[value.node]) + slot


def _leaves(nodes: list[LiveNode]) -> Iterator[tuple[int, Any]]:
    for place, node in enumerate(nodes):
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            yield place, leaf


def names_for_print(started: Started, node: Node, step: Step | None) -> dict[str, Any]:
    """The names that an expression may use.

    Args:
        started: The pass.
        node: The node that is looked at.
        step: Its step; None if it has not run.
    """
    live_node = started.live.nodes[node.id]
    saved = {record.name: value for record, value in read_saved(live_node) if value is not None}
    own = {**node.attributes, **saved}
    names: dict[str, Any] = {name: value for name, value in own.items() if name.isidentifier()}
    if step is not None:
        names |= {f"g{slot}": gradient for slot, gradient in enumerate(step.received)}
        names |= {f"r{slot}": gradient for slot, gradient in enumerate(step.returned)}
        names |= {"received": step.received, "returned": step.returned, "parts": step.parts}
    return names | {
        "node": node,
        "live_node": live_node,
        "saved": saved,
        "grads": dict(_named_gradients(started)),
        "stepper": started.stepper,
        "torch": torch,
    }


def _named_gradients(started: Started) -> Iterator[tuple[str, torch.Tensor | None]]:
    stepper = started.stepper
    for name, gradient in zip(_names_of(started, stepper.inputs), stepper.gradients, strict=True):
        # `#2 AccumulateGrad x` is `x`; without a name of its own, a leaf goes by its id.
        _, _, own = name.rpartition("AccumulateGrad ")
        yield own, gradient


def saved_lines_of(node: LiveNode) -> list[Line]:
    """The tensors that a node saved."""
    return [Line(text) for text in saved_lines([record for record, _ in read_saved(node)])]


def where_lines_of(node: Node) -> list[Line]:
    """The line that made a node, and its module."""
    lines = [Line(_title(node), "title")]
    source = node.source
    if node.kind == "leaf":
        lines.append(Line("  a leaf: no line made its AccumulateGrad"))
    else:
        lines.append(Line(f"  {NOT_RECORDED if source is None else visible(line_text(source))}"))
    if node.scope is not None:
        lines.append(Line(f"  module {visible(scope_text(node.scope))}"))
    return lines


def source_lines(node: Node) -> list[Line]:
    """The program around the line that made a node."""
    source = node.source
    if source is None:
        return where_lines_of(node)
    code = linecache.getlines(source.file)
    if not code:
        return [*where_lines_of(node), Line("  the file cannot be read")]
    first = max(0, source.line - 1 - AROUND)
    lines = [Line(f"{_title(node)}, made at {visible(source.short)} in {visible(source.function)}")]
    for number, text in enumerate(code[first : source.line + AROUND], first + 1):
        is_it = number == source.line
        sign, shown = ">" if is_it else " ", visible(text.rstrip("\n").expandtabs(4))
        lines.append(Line(f"{sign} {number:4}  {shown}".rstrip(), "here" if is_it else ""))
    return lines


def _title(node: Node) -> str:
    name = node.parameter.name if node.parameter is not None else None
    return visible(f"#{node.id} {node.name}" + (f" {name}" if name else ""))
