"""A backward pass in one line: what called it, what it started from, how it ended."""

from __future__ import annotations

from ..events.records import BackwardPass, Outcome, PassInput, RootGradient
from ..graph.graph import Graph
from .escape import shorten, visible
from .gradient_text import gradient_text
from .labels import display_name

__all__ = ["describe_input", "outcome_text", "pass_heading"]

CALLS = {"backward": "backward()", "grad": "autograd.grad()", "engine": "a backward pass"}
MAX_NAME_CHARS = 40
MAX_ROOTS = 2
MAX_INPUTS = 3


def pass_heading(graph: Graph, backward_pass: BackwardPass) -> str:
    """For example `backward() at train.py:41 in step, from MeanBackward0 given …: completed`."""
    p = backward_pass
    place = f"{CALLS[p.call]} at {p.place}"
    if p.function and p.function != "<module>":
        place += f" in {p.function}"
    parts = [place]
    if p.parent is not None:
        parts.append(f"called by {_name(graph, p.parent)} #{p.parent}")
    if p.roots:
        roots = [_root(graph, root) for root in p.roots[:MAX_ROOTS]]
        more = [f"… {len(p.roots)} roots"] if len(p.roots) > MAX_ROOTS else []
        parts.append(f"from {' and '.join(roots + more)}")
    if p.inputs is not None:
        names = [describe_input(graph, item) for item in p.inputs[:MAX_INPUTS]]
        more = [f"… {len(p.inputs)} in all"] if len(p.inputs) > MAX_INPUTS else []
        parts.append(f"inputs=[{', '.join(names + more)}]")
    if p.create_graph:
        parts.append("create_graph=True")
    if p.retain_graph != p.create_graph:  # PyTorch's default for it is create_graph.
        parts.append(f"retain_graph={p.retain_graph}")
    return visible(f"{', '.join(parts)}: {outcome_text(p.outcome)}")


def describe_input(graph: Graph, item: PassInput) -> str:
    """What to call one of `inputs=`."""
    if item.names:
        return shorten(item.names[0], MAX_NAME_CHARS)
    if item.node is None:
        return "an unreached tensor"
    name = _name(graph, item.node)
    return f"output {item.slot} of {name}" if item.slot else name


def outcome_text(outcome: Outcome) -> str:
    """The status, and the type of the exception."""
    return f"{outcome.status} {outcome.error or ''}".rstrip()


def _root(graph: Graph, root: RootGradient) -> str:
    name = _name(graph, root.node)
    name = f"output {root.slot} of {name}" if root.slot else name
    if root.stats is None:
        return name
    whose = "PyTorch's own 1" if root.is_implicit else "the caller's"
    return f"{name} given {gradient_text(root.stats)} ({whose})"


def _name(graph: Graph, node: int) -> str:
    return shorten(display_name(graph.nodes[node]), MAX_NAME_CHARS)
